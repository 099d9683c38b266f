import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { startRouter } from '../../src/runtime/router.ts'
import { makeProject } from '../support/project.ts'

test('an emit that is too large for any topic is dead-lettered at once: trying again could not help', async () => {
  const project = await makeProject({
    'router.yaml': 'name: shop\nserver: { port: 0, apps: [{ id: shop, key: shop-key, secret: not-a-secret }] }\n',
    'routes/orders.yaml': `topics: orders
routes:
  doubled:
    actions:
      - emit: { topic: copies, data: { one: "{{data.text}}", two: "{{data.text}}" } }
`,
  })
  const router = await startRouter({ root: project.root, mode: 'dev', env: {}, log: pino({ level: 'silent' }), watch: false })
  onTestFinished(() => router.stop())
  await router.ready
  await router.publish({ topic: 'orders', event: 'order.created', data: { text: 'x'.repeat(600_000) } })
  const metrics = async () => (await fetch(`http://127.0.0.1:${router.address.port}/metrics`)).text()
  await expect
    .poll(metrics)
    .toMatch(/signalbox_route_outcomes_total\{subscription="orders",route="orders\/doubled",outcome="dead_lettered"\} 1/)
  expect(await metrics()).toMatch(/signalbox_retries_total\{subscription="orders"\} 0/)
})
