import type { ProblemCode } from './codes.ts'

/** Files of a small project, by path. */
export type ExampleProject = Readonly<Record<string, string>>

/** What a code looks like, and what to write instead. Each pair is run by a test: the one gives exactly this problem, the other none. */
export type CodeHelp =
  | { readonly wrong: ExampleProject; readonly right: ExampleProject }
  /** Where no short file can show it. */
  | { readonly note: string }

export function helpFor(code: ProblemCode): CodeHelp {
  return help[code] ?? { note: '' }
}

/** A route file with one route; `lines` stand in the route, before its actions. */
function route(action: string, lines = '', top = ''): string {
  return `topics: orders\n${top}routes:\n  created:\n    event: order.created\n${lines}    actions:\n      - ${action}\n`
}

function inRoutes(wrong: string, right: string, also: ExampleProject = {}): CodeHelp {
  return { wrong: { 'routes/orders.yaml': wrong, ...also }, right: { 'routes/orders.yaml': right, ...also } }
}

/** A mistake in one action. */
function inAction(wrong: string, right: string, also: ExampleProject = {}, lines = ''): CodeHelp {
  return inRoutes(route(wrong, lines), route(right, lines), also)
}

/** A mistake in a line of the route. */
function inRoute(wrong: string, right: string, also: ExampleProject = {}): CodeHelp {
  const action = 'broadcast: private-admin.orders'
  return inRoutes(route(action, `    ${wrong}\n`), route(action, `    ${right}\n`), also)
}

const apps = 'server:\n  apps: [{ id: shop, key: shop-key, secret: "${APP_SECRET:-only-for-development}" }]\n'

function inRouter(
  wrong: string,
  right: string,
  routes: ExampleProject = { 'routes/orders.yaml': route('broadcast: private-admin.orders') },
): CodeHelp {
  return { wrong: { 'router.yaml': wrong, ...routes }, right: { 'router.yaml': right, ...routes } }
}

const plain = route('broadcast: private-admin.orders')
const handler =
  "import { defineHandler } from 'signalbox'\n\nexport default defineHandler(async event => ({ url: `/receipts/${event.id}` }))\n"
const orderSchema = (required: string) =>
  `{\n  "$schema": "https://json-schema.org/draft/2020-12/schema",\n  "type": "object",\n  "required": [${required}],\n  "properties": {\n    "user_id": { "type": "integer" },\n    "user": { "type": "object" },\n    "status": { "enum": ["open", "paid"] }\n  }\n}\n`
const withSchema = { 'schemas/order.json': orderSchema('"user_id", "user"') }
const schemaLine = '    schema: ../schemas/order.json\n'

const help: Readonly<Partial<Record<ProblemCode, CodeHelp>>> = {
  'file-unreadable': {
    wrong: { 'router.yml': 'name: shop\n', 'routes/orders.yaml': plain },
    right: { 'router.yaml': 'name: shop\n', 'routes/orders.yaml': plain },
  },
  'file-too-large': { note: 'One file is one subscription: split it.' },
  'file-encoding': { note: 'Save the file as UTF-8, without NUL bytes.' },
  'file-empty': inRoutes('# nothing here yet\n', plain),
  'too-many-problems': { note: 'Mend the first problems and validate again.' },
  'yaml-syntax': inRoutes(plain.replace('topics: orders', 'topics: [orders'), plain.replace('topics: orders', 'topics: [orders]')),
  'yaml-tab': inRoutes(plain.replace('  created:', '\tcreated:'), plain),
  'yaml-duplicate-key': inRoutes(
    plain.replace('topics: orders', 'topics: orders\ntopics: payments'),
    plain.replace('topics: orders', 'topics: [orders, payments]'),
  ),
  'yaml-alias': inRoutes(plain.replace('order.created', '*.created'), plain.replace('order.created', '"*.created"')),
  'yaml-unquoted-template': inAction('broadcast: {{data.channel}}', 'broadcast: "{{data.channel}}"'),
  'yaml-documents': inRoutes(`${plain}---\n${plain}`, plain),
  'schema-unknown-key': inRoute('whenn: { data.total: 5 }', 'when: { data.total: 5 }'),
  'schema-missing-key': inRoutes(plain.replace('topics: orders\n', ''), plain),
  'schema-type': inRoutes(
    plain.replace('topics: orders', 'topics: orders\nconcurrency: many'),
    plain.replace('topics: orders', 'topics: orders\nconcurrency: 16'),
  ),
  'schema-value': inRoute('retry: { backoff: exponentially }', 'retry: { backoff: exponential }'),
  'schema-unsupported': inRouter(
    `broker: kafka\nbrokers:\n  kafka: { type: kafka, brokers: localhost:9092, consumer: { max.poll.records: 500 } }\n${apps}`,
    `broker: kafka\nbrokers:\n  kafka: { type: kafka, brokers: localhost:9092, consumer: { fetch.max.wait.ms: 500 } }\n${apps}`,
  ),
  'env-unset': inRouter('name: "${SHOP_NAME}"\n', 'name: "${SHOP_NAME:-shop}"\n'),
  'env-syntax': inRouter('name: "${SHOP NAME}"\n', 'name: "${SHOP_NAME:-shop}"\n'),
  'template-syntax': inAction('broadcast: "user.{{#if data.user_id}}1{{/if}}"', 'broadcast: "user.{{data.user_id}}"'),
  'template-root': inAction('broadcast: "user.{{user_id}}"', 'broadcast: "user.{{data.user_id}}"'),
  'template-name': inAction('broadcast: "user #{{data.user_id}}"', 'broadcast: "user.{{data.user_id}}"'),
  'event-pattern': inRoutes(plain.replace('order.created', '"ord*"'), plain.replace('order.created', '"order.*"')),
  'event-undeclared': inRoutes(plain.replace('order.created', 'order.craeted'), plain, {
    'router.yaml': 'topics:\n  orders: { events: [order.created, order.paid] }\n',
  }),
  'topic-unused': inRouter('topics:\n  ordres: { events: [order.created] }\n', 'topics:\n  orders: { events: [order.created] }\n'),
  'topic-name': inRoutes(
    plain.replace('topics: orders', 'topics: orders.*'),
    plain.replace('topics: orders', 'topics: { pattern: "^orders\\\\." }'),
  ),
  'when-condition': inRoute('when: { data.total: { gt: "{{data.min}}" } }', 'when: { data.total: { gt: { path: data.min } } }'),
  'when-never': inRoute(
    'when: { data.total: { gt: 100, lt: 10 } }',
    'when: { any: [{ data.total: { gt: 100 } }, { data.total: { lt: 10 } }] }',
  ),
  'when-number': inRoute('when: { data.code: 007 }', 'when: { data.code: "007" }'),
  'event-loop': inAction('emit: orders', 'emit: order-audit'),
  'retry-long': inAction(
    '{ broadcast: news, retry: { attempts: 500, backoff: fixed, delay: 30s } }',
    '{ broadcast: news, retry: { attempts: 8, maxDelay: 1m } }',
  ),
  'retry-order': inRoutes(
    route('{ emit: order-audit, retry: { mode: topics } }'),
    route('{ emit: order-audit, retry: { mode: topics } }', '', 'ordering: none\n'),
  ),
  'regex-syntax': inRoute('when: { data.name: { matches: "(?=a)" } }', 'when: { data.name: { matches: "^a" } }'),
  'results-unknown': inAction(
    'broadcast: { channel: news, data: "{{results.receipt}}" }',
    'invoke: receipt.ts\n        as: receipt\n      - broadcast: { channel: news, data: "{{results.receipt}}" }',
    {
      'routes/receipt.ts': handler,
    },
  ),
  'field-undeclared': inAction('broadcast: "user.{{data.usr_id}}"', 'broadcast: "user.{{data.user_id}}"', withSchema, schemaLine),
  'field-optional': {
    wrong: { 'routes/orders.yaml': route('broadcast: "user.{{data.user_id}}"', schemaLine), 'schemas/order.json': orderSchema('') },
    right: {
      'routes/orders.yaml': route('broadcast: "user.{{data.user_id}}"', schemaLine),
      'schemas/order.json': orderSchema('"user_id"'),
    },
  },
  'field-type': inAction('broadcast: "user.{{data.user}}"', 'broadcast: "user.{{data.user.name}}"', withSchema, schemaLine),
  'http-address': inAction('http: "https://{{data.host}}/orders"', 'http: "https://api.example/orders/{{data.order_id}}"'),
  'broker-unknown': inRoutes(
    plain.replace('topics: orders', 'topics: orders\nbroker: kafak'),
    plain.replace('topics: orders', 'topics: orders\nbroker: kafka'),
    {
      'router.yaml': `broker: kafka\nbrokers:\n  kafka: { type: kafka, brokers: localhost:9092 }\n${apps}`,
    },
  ),
  'broker-missing': inRouter(
    `brokers:\n  kafka: { type: kafka, brokers: localhost:9092 }\n  legacy: { type: kafka, brokers: localhost:9093 }\n${apps}`,
    `broker: kafka\nbrokers:\n  kafka: { type: kafka, brokers: localhost:9092 }\n  legacy: { type: kafka, brokers: localhost:9093 }\n${apps}`,
  ),
  'broker-refused': {
    note: 'Start the broker, correct its address in router.yaml, or ask for the permission (an ACL) that the message names.',
  },
  'topic-missing': { note: 'Create the topic, or correct its name. `router validate --live` asks the broker for the topics that it has.' },
  'handler-missing': inAction('invoke: recipt.ts', 'invoke: receipt.ts', { 'routes/receipt.ts': handler }),
  'handler-invalid': {
    wrong: { 'routes/orders.yaml': route('invoke: receipt.ts'), 'routes/receipt.ts': handler.replace('export default', 'const receipt =') },
    right: { 'routes/orders.yaml': route('invoke: receipt.ts'), 'routes/receipt.ts': handler },
  },
  'file-unused': {
    wrong: { 'routes/orders.yaml': route('invoke: receipt.ts'), 'routes/receipt.ts': handler, 'routes/invoice.ts': handler },
    right: {
      'routes/orders.yaml': `${route('invoke: receipt.ts')}      - invoke: invoice.ts\n`,
      'routes/receipt.ts': handler,
      'routes/invoice.ts': handler,
    },
  },
  'json-schema-invalid': inRoute('schema: ../schemas/ordr.json', 'schema: ../schemas/order.json', withSchema),
  'subscription-conflict': {
    wrong: {
      'routes/orders.yaml': plain.replace('orders', 'a'),
      'routes/orders.yml': `${plain.replace('orders', 'b')}`.replace('routes:', 'group: shop.b\nroutes:'),
    },
    right: { 'routes/orders.yaml': plain },
  },
  'group-conflict': {
    wrong: {
      'routes/a.yaml': plain.replace('routes:', 'group: shop\nroutes:'),
      'routes/b.yaml': plain.replace('orders', 'payments').replace('routes:', 'group: shop\nroutes:'),
    },
    right: { 'routes/a.yaml': plain, 'routes/b.yaml': plain.replace('orders', 'payments') },
  },
  'idempotency-key': inRoute('idempotency: { key: orders }', 'idempotency: { key: "{{data.order_id}}" }'),
  'idempotency-store': { note: 'Another router holds the folder, or it cannot be written: see `idempotency` in router.yaml.' },
  'dead-letter-policy': inRoute('deadLetter: none', 'deadLetter: none\n    onFailure: skip'),
  fanout: inRoutes(route('emit: order-audit', '', 'role: fanout\n'), route('broadcast: private-admin.orders', '', 'role: fanout\n')),
  'channel-rule': { note: 'Look at the rules under `channels:` in router.yaml that the message names.' },
  'channel-unreachable': inRouter('server:\n  apps: [{ id: shop, key: shop-key }]\n', apps),
  'app-unknown': inAction('broadcast: { channel: news, app: shpo }', 'broadcast: { channel: news, app: shop }', {
    'router.yaml': 'server:\n  apps:\n    - { id: shop, key: shop-key, secret: "${APP_SECRET:-only-for-development}" }\n',
  }),
}
