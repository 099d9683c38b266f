import { expect, test } from 'vitest'
import { makeProject } from '../support/project.ts'
import { router } from './router-command.ts'

const files = {
  'router.yaml': 'name: shop\nserver:\n  apps: [{ id: shop, key: shop-key, secret: not-a-secret }]\n',
  'routes/orders.yaml': `topics: [orders, { pattern: "^orders\\\\." }, refunds]
routes:
  created:
    event: [order.created, order.paid]
    when: { data.total: { gte: 100 } }
    actions:
      - broadcast: "private-user.{{data.user_id}}"
      - emit: { topic: audit }
  everything:
    actions:
      - broadcast: private-all
`,
  'routes/shop/news.yaml': 'topics: news\nrole: fanout\nunmatched: { actions: [{ broadcast: public.news }] }\n',
}

test('lists what listens to what', async () => {
  const { root } = await makeProject(files)
  expect(await router(['routes'], { cwd: root })).toEqual({
    code: 0,
    stderr: '',
    stdout: `TOPICS       EVENT                      ROUTE       ACTIONS                                  GROUP
orders       order.created, order.paid  created ?   broadcast private-user.{{data.user_id}}  shop.orders
refunds                                             emit audit
/^orders\\./  (any)                      everything  broadcast private-all
             (others)                               ignore
news         (others)                   unmatched   broadcast public.news                    (every instance)
`,
  })
})

test('gives programs the same as JSON', async () => {
  const { root } = await makeProject(files)
  const { code, stdout } = await router(['routes', '--format', 'json'], { cwd: root })
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject([
    {
      name: 'orders',
      file: 'routes/orders.yaml',
      topics: ['orders', 'refunds', '/^orders\\./'],
      group: 'shop.orders',
      role: 'work',
      routes: [{ name: 'created', conditional: true }, { name: 'everything' }],
      unmatched: 'ignore',
    },
    { name: 'shop/news', role: 'fanout', unmatched: { name: 'unmatched' } },
  ])
})

test('a project with errors is not listed in part', async () => {
  const { root } = await makeProject({ ...files, 'routes/broken.yaml': 'topics: 5\n' })
  const { code, stdout, stderr } = await router(['routes'], { cwd: root })
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(/routes\/broken\.yaml:1:9: error: /)
})
