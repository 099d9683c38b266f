import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, bench, describe } from 'vitest'
import { validateProject } from '../../src/runtime/validate-project.ts'

const files = 1_000

const text = (index: number) => `topics: [orders-${index}]
defaults: { timeout: 10s, retry: { attempts: 4, delay: 200ms } }
routes:
  created:
    event: order.created
    when: { data.total: { gte: 100 }, data.status: [paid, shipped] }
    actions:
      - broadcast: private-admin.orders
      - broadcast: { channel: "private-user.{{data.user_id}}", event: order.confirmed, data: { order: "{{data.order_id}}" } }
  paid:
    event: payment.*
    actions:
      - emit: { topic: order-audit, key: "{{key}}", data: "{{data}}" }
`

describe(`a project of ${files} route files`, () => {
  const root = mkdtempSync(join(tmpdir(), 'signalbox-'))
  mkdirSync(join(root, 'routes'))
  for (let index = 0; index < files; index++) writeFileSync(join(root, 'routes', `file-${index}.yaml`), text(index))
  afterAll(() => rmSync(root, { recursive: true, force: true }))

  bench(
    'validate',
    async () => {
      const { problems } = await validateProject({ root, env: {} })
      if (problems.length > 0) throw new Error(`${problems.length} problems`)
    },
    { iterations: 3, time: 0, warmupIterations: 1, warmupTime: 0 },
  )
})
