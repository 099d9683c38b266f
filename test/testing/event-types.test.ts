import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { draftBlueprint } from '../../src/runtime/blueprint.ts'
import { eventTypes } from '../../src/testing/event-types.ts'
import { makeProject, type TestProject } from '../support/project.ts'

const item = '{ "title": "Item", "type": "object", "required": ["sku"], "properties": { "sku": { "type": "string" } } }'
const schema = (extra: string) =>
  `{ "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "An order", "type": "object", "required": ["id"], "properties": { "id": { "type": "integer" }, ${extra} } }`
const route = (event: string, file: string) => `    event: ${event}\n    schema: ../schemas/${file}\n    actions: [{ broadcast: news }]\n`

async function typesOf(project: TestProject): Promise<string> {
  const { plan, project: loaded, problems } = await draftBlueprint({ root: project.root, env: {}, mode: 'validate' })
  expect(problems).toEqual([])
  return eventTypes({ root: project.root, plan, schemas: loaded.eventSchemas })
}

const files = {
  'schemas/item.json': item,
  'schemas/order-created.json': schema('"items": { "type": "array", "items": { "$ref": "item.json" } }'),
  'schemas/order-paid.json': schema('"first": { "$ref": "item.json" }'),
  'routes/orders.yaml': `topics: orders\nroutes:\n  a:\n${route('order.created', 'order-created.json')}  b:\n${route('[order.paid, order.settled]', 'order-paid.json')}`,
}

test('each schema is one type, what several refer to is declared once, and events find their type by name', async () => {
  const text = await typesOf(await makeProject(files))
  expect(text.match(/export interface \w+/g)).toEqual([
    'export interface OrderCreated',
    'export interface Item',
    'export interface OrderPaid',
    'export interface EventTypes',
  ])
  expect(text).toContain("  'order.created': OrderCreated\n  'order.paid': OrderPaid\n  'order.settled': OrderPaid\n")
})

test('a handler that is given such a type is checked by the compiler', async () => {
  const project = await makeProject(files)
  await project.write('events.ts', await typesOf(project))
  const use = (field: string) =>
    `import type { EventTypes } from './events.ts'\nexport const read = (data: EventTypes['order.created']): unknown => data.${field}\n`
  await project.write('good.ts', use('items?.[0]?.sku'))
  await project.write('bad.ts', use('itemz'))
  const tsc = (file: string) =>
    execFileSync(
      process.execPath,
      [
        fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url)),
        ...[
          '--ignoreConfig',
          '--noEmit',
          '--strict',
          '--allowImportingTsExtensions',
          '--module',
          'nodenext',
          '--skipLibCheck',
          '--types',
          '',
        ],
        join(project.root, file),
      ],
      { encoding: 'utf8', stdio: 'pipe' },
    )
  expect(tsc('good.ts')).toBe('')
  expect(() => tsc('bad.ts')).toThrow()
})
