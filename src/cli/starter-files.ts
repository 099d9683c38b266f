import { packageVersion, readSchema } from './package-files.ts'

export interface StarterFile {
  /** Relative to the project's folder, with forward slashes. */
  readonly path: string
  readonly content: string
  /** A project often has its own already, which then stays as it is. */
  readonly optional?: true
}

/** A small working project. `name` may hold lower-case letters, digits and dashes. */
export function starterFiles(name: string): readonly StarterFile[] {
  return [
    { path: 'router.yaml', content: routerYaml(name) },
    { path: 'routes/orders.yaml', content: ordersYaml },
    { path: 'routes/orders.test.yaml', content: ordersTest },
    { path: 'handlers/receipt.ts', content: receiptHandler },
    { path: 'schemas/order-created.json', content: orderSchema },
    { path: 'schemas/router.schema.json', content: readSchema('router') },
    { path: 'schemas/routes.schema.json', content: readSchema('routes') },
    { path: 'schemas/tests.schema.json', content: readSchema('tests') },
    { path: '.gitignore', content: 'node_modules/\n.signalbox/\n', optional: true },
    { path: 'README.md', content: readme(name), optional: true },
    { path: 'package.json', content: manifest(name), optional: true },
  ]
}

function routerYaml(name: string): string {
  return `# yaml-language-server: $schema=./schemas/router.schema.json
name: ${name}
broker: local                            # of route files that name none
brokers:
  local: { type: memory }                # lives inside the router: nothing to install
  kafka: { type: kafka, brokers: "\${KAFKA_BROKERS:-localhost:9092}" }
server:
  port: 6001
  # \`router run\` needs an app; \`router dev\` makes one up, with the key app-key.
  # apps: [{ id: app, key: app-key, secret: "\${APP_SECRET}" }]
`
}

const ordersYaml = `# yaml-language-server: $schema=../schemas/routes.schema.json
topics: [orders]

routes:
  order-created:
    event: order.created
    schema: ../schemas/order-created.json
    actions:
      - invoke: ../handlers/receipt.ts
        as: receipt                      # what it returns: {{results.receipt...}} below
      - broadcast: orders                # the event as it came
      - broadcast:
          channel: "private-user.{{data.user_id}}"
          event: order.confirmed
          data: { order: "{{data.order_id}}", receipt: "{{results.receipt.number}}" }

  large-order:
    event: order.created
    schema: ../schemas/order-created.json
    when:
      data.total: { gte: 1000 }
    actions:
      - broadcast: { channel: private-sales, event: order.large, data: "{{data}}" }
`

const ordersTest = `# yaml-language-server: $schema=../schemas/tests.schema.json
tests:
  - name: a customer hears of the order, with the receipt that the handler wrote
    given: { event: order.created, data: { order_id: 42, user_id: 7, total: 20 } }
    expect:
      routes: [order-created]
      broadcasts:
        - { channel: orders, event: order.created }
        - { channel: private-user.7, event: order.confirmed, data: { order: 42, receipt: R-42 } }

  - name: a large order reaches the sales team, also while no receipt can be written
    given: { event: order.created, data: { order_id: 43, user_id: 7, total: 1200 } }
    mocks:
      ../handlers/receipt.ts: { throws: the printer is on fire }
    expect:
      broadcasts: [{ channel: private-sales, event: order.large }]
      deadLetters: [{ route: order-created, error: the printer is on fire }]
`

const receiptHandler = `import { defineHandler } from 'signalbox'

interface OrderCreated {
  readonly order_id: number
  readonly user_id: number
  readonly total: number
}

export default defineHandler<OrderCreated>(async (event, ctx) => {
  ctx.log.info({ order: event.data.order_id, attempt: ctx.attempt }, 'writing a receipt')
  return { number: \`R-\${event.data.order_id}\` }
})
`

const orderSchema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "order.created",
  "type": "object",
  "required": ["order_id", "user_id", "total"],
  "properties": {
    "order_id": { "type": "integer" },
    "user_id": { "type": "integer" },
    "total": { "type": "number", "minimum": 0 }
  }
}
`

function readme(name: string): string {
  return `# ${name}

An event router: \`routes/*.yaml\` say which events go where. Installed in this folder only, the command is \`npx router\`.

1. \`router dev\` runs it here. The page it names shows what happens.
2. In a second terminal:
   \`router publish orders order.created '{"order_id": 42, "user_id": 7, "total": 1200}'\`
3. Edit \`routes/orders.yaml\` and save: the change is at work at once, or you are told what is wrong with it.
4. \`router validate\` finds every problem without running anything, and \`router test\` runs \`routes/*.test.yaml\`: use both in CI.
5. What would become of one message, and why not something else? Put it into a file and ask:
   \`echo '{"event": "order.created", "data": {"order_id": 42, "user_id": 7, "total": 1200}}' > message.json\`
   \`router explain message.json\`

Browsers subscribe with \`pusher-js\` to port 6001 (key \`app-key\`).
\`router run --broker kafka\` is for production: give \`router.yaml\` an app first.

\`schemas/*.schema.json\` are for your editor; renew them after an update with
\`router schema routes > schemas/routes.schema.json\`, and the same for \`router\` and \`tests\`.
`
}

function manifest(name: string): string {
  const content = {
    name,
    private: true,
    type: 'module',
    scripts: { dev: 'router dev', validate: 'router validate', test: 'router test', start: 'router run' },
    dependencies: { signalbox: `^${packageVersion()}` },
  }
  return `${JSON.stringify(content, null, 2)}\n`
}
