import { expect, test } from 'vitest'
import { runTests } from '../../src/testing/run-tests.ts'
import { makeProject } from '../support/project.ts'

const route = `
topics: orders
defaults: { retry: { attempts: 3, delay: 1m, jitter: none } }
routes:
  index:
    event: order.created
    actions:
      - invoke: { handler: ../handlers/index.ts, batch: { size: 10, wait: 50ms } }
        as: indexed
      - broadcast: { channel: index, data: "{{results.indexed}}" }
`
const handler = `import { defineBatchHandler } from 'signalbox'
export default defineBatchHandler<{ id: number }>(async items => {
  await new Promise(resolve => setTimeout(resolve, 10))
  return items.map(({ event, context, fail }) => {
    if (event.data.id === 2 && context.attempt === 1) fail(new Error('once'))
    if (event.data.id === 3) fail(Object.assign(new Error('never'), { name: 'PermanentError' }))
    return event.data.id + ' of ' + items.length
  })
})
`

async function run(tests: string) {
  const files = { 'routes/orders.yaml': route, 'handlers/index.ts': handler, 'routes/orders.test.yaml': `tests:\n${tests}` }
  const { root } = await makeProject(files)
  const { problems, results } = await runTests({ root, env: {}, files: ['routes/orders.test.yaml'] })
  return [...problems, ...results.flatMap(({ failures }) => failures.map(({ message }) => message))]
}

const message = (id: number) => `{ event: order.created, key: k${id}, id: e${id}, data: { id: ${id} } }`

test('messages of different keys come together; one that fails is tried again by itself', async () => {
  const given = `    given: [${[1, 2, 3].map(message).join(', ')}]\n`
  const expected =
    '    expect:\n      broadcasts: [{ data: 1 of 3 }, { data: 2 of 1 }]\n' +
    '      invocations: [{ data: { id: 1 }, attempts: 1 }, { data: { id: 2 }, attempts: 2 }, { data: { id: 3 }, attempts: 1 }]\n' +
    '      deadLetters: [{ route: orders/index, action: "0:invoke", attempts: 1, type: PermanentError, error: never }]\n'
  expect(await run(`  - name: a\n${given}${expected}`)).toEqual([])
})

test('messages of one key come together too, in order; after one that fails the later ones come again', async () => {
  const given = `    given: [${[1, 2, 4].map(id => message(id).replace(/key: k\d/, 'key: k')).join(', ')}]\n`
  const expected =
    '    expect:\n      broadcasts: [{ data: 1 of 3 }, { data: 2 of 2 }, { data: 4 of 2 }]\n' +
    '      invocations: [{ data: { id: 1 }, attempts: 1 }, { data: { id: 2 }, attempts: 2 }, { data: { id: 4 }, attempts: 1 }]\n'
  expect(await run(`  - name: a\n${given}${expected}`)).toEqual([])
})

test('each message has a context that is whole', async () => {
  const { root } = await makeProject({
    'routes/orders.yaml': route,
    'handlers/index.ts': `export default items => items.map(({ context: { log, signal, attempt, idempotencyKey, broadcast, emit, ...rest } }) =>
  [typeof log.info, signal.aborted, attempt, idempotencyKey, typeof broadcast, typeof emit, JSON.stringify(rest)].join(' '))`,
    'routes/orders.test.yaml': `tests:\n  - name: a\n    given: ${message(1)}\n    expect: { broadcasts: [{ data: 'function false 1 e1#orders/index#0 function function {"with":{}}' }] }\n`,
  })
  const { results } = await runTests({ root, env: {}, files: ['routes/orders.test.yaml'] })
  expect(results.flatMap(({ failures }) => failures)).toEqual([])
})

test('a mock answers for each message', async () => {
  const mocks = '    mocks: { ../handlers/index.ts: { throws: down, times: 1, returns: found } }\n'
  const expected = '    expect: { broadcasts: [{ data: found }, { data: found }], attempts: 2, deadLetters: [] }\n'
  expect(await run(`  - name: a\n    given: [${message(1)}, ${message(2)}]\n${mocks}${expected}`)).toEqual([])
})
