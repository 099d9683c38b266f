import { bench, describe } from 'vitest'
import { Backtest } from '../../src/testing/backtest.ts'
import { compileFiles } from '../compiler/compile-files.ts'
import { envelope, record } from '../engine/plan-builders.ts'

const count = 10_000

const routes = (least: number) => `topics: [orders]
routes:
  large:
    event: order.created
    when: { data.total: { gte: ${least} } }
    actions:
      - broadcast: "private-user.{{data.user_id}}"
      - emit: { topic: audit, key: "{{key}}", data: "{{data}}" }
  profile:
    event: user.updated
    actions: [{ broadcast: "private-user.{{data.user_id}}" }]
`

const records = Array.from({ length: count }, (_, index) =>
  record({
    offset: index,
    key: `user-${index % 100}`,
    value: Buffer.from(envelope('order.created', { user_id: index, total: index % 200, status: 'paid' }, `id-${index}`)),
  }),
)

describe(`${count} messages through two versions of the routes`, () => {
  const [before, after] = [100, 50].map(least => compileFiles({ 'routes/orders.yaml': routes(least) }).plan)
  if (before === undefined || after === undefined) throw new Error('the routes do not compile')

  bench('backtest', () => {
    const backtest = new Backtest(before, after)
    for (const each of records) backtest.take(undefined, each)
  })
})
