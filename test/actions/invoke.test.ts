import { describe, expect, test } from 'vitest'
import { defineHandler, drop, type HandlerContext, type HandlerEvent, PermanentError } from '../../src/actions/handler.ts'
import { ActionSignal } from '../../src/compiler/plan.ts'
import { actionProblems, recordOf, running } from './running.ts'

const handlers = ['handlers/receipt.ts']
const path = '../handlers/receipt.ts'

function invoking(handler: (event: HandlerEvent, context: HandlerContext) => unknown, action: object = {}, apps?: readonly string[]) {
  return running([{ invoke: path, ...action }], {
    handlers,
    code: { 'handlers/receipt.ts#default': handler },
    ...(apps === undefined ? {} : { apps }),
  })
}

describe('invoke', () => {
  test('gives the handler the message and keeps what it returns', () => {
    const seen: HandlerEvent[] = []
    const {
      run,
      summaries,
      handlers: uses,
    } = invoking(event => {
      seen.push(event)
      return { url: '/r/1' }
    })
    const headers = { h: '1' }
    expect(run({ data: { a: 1 }, key: 'k', headers, source: '/s' })).toEqual({ url: '/r/1' })
    expect(seen).toEqual([
      {
        id: 'evt-1',
        source: '/s',
        event: 'order.created',
        data: { a: 1 },
        key: 'k',
        headers,
        topic: 'orders',
        partition: 0,
        offset: 7,
        timestamp: 1_893_456_000_000,
      },
    ])
    expect(summaries).toEqual(['invoke handlers/receipt.ts'])
    expect(uses).toMatchObject([
      { module: 'handlers/receipt.ts', exportName: 'default', file: 'routes/orders.yaml', range: { start: { line: 1 } } },
    ])
  })

  test('runs for a tombstone too', () => {
    expect(invoking(event => [event.data, event.event]).run({ data: null, event: undefined })).toEqual([null, undefined])
  })

  test('waits for a handler that is asynchronous', async () => {
    await expect(invoking(async () => 5).run()).resolves.toBe(5)
    await expect(invoking(async () => Promise.reject(new Error('away'))).run()).rejects.toThrow('away')
  })

  test('drop() ends the route, also from a handler that waits', async () => {
    const dropped = new ActionSignal('drop', 'handler')
    expect(invoking(() => drop()).run()).toEqual(dropped)
    expect(await invoking(async () => drop()).run()).toEqual(dropped)
  })

  test('calls a named export', () => {
    const { run, summaries } = running([{ invoke: { handler: `${path}#send` } }], {
      handlers,
      code: { 'handlers/receipt.ts#send': () => 'sent' },
    })
    expect(run()).toBe('sent')
    expect(summaries).toEqual(['invoke handlers/receipt.ts#send'])
  })

  test('fails for good when the module is not there', () => {
    const { run } = running([{ invoke: path }], { handlers })
    expect(() => run()).toThrow(
      expect.objectContaining({
        name: 'PermanentError',
        message: 'the handler handlers/receipt.ts could not be loaded or exports no function',
      }),
    )
  })

  test('passes parameters, rendered for the message', () => {
    const { run } = invoking((_, context) => context.with, { with: { template: 'receipt', to: '{{data.mail}}', deep: { n: [1] } } })
    expect(run({ data: { mail: 'a@b.c' } })).toEqual({ template: 'receipt', to: 'a@b.c', deep: { n: [1] } })
    expect(invoking((_, context) => context.with).run()).toEqual({})
  })

  test('the context has log, signal, attempt and a key that every attempt shares', () => {
    const { run, recorded } = invoking((_, { log, signal, attempt, idempotencyKey }) => {
      log.info({ n: 1 }, 'hello')
      return [signal.aborted, attempt, idempotencyKey]
    })
    expect(run({}, { number: 3 })).toEqual([false, 3, 'evt-1#orders/one#0'])
    expect(run({}, { number: 4, element: 2 })).toEqual([false, 4, 'evt-1#orders/one#0#2'])
    expect(recorded.logs).toEqual([
      ['info', { n: 1 }, 'hello'],
      ['info', { n: 1 }, 'hello'],
    ])
  })

  test('the handler broadcasts and emits through its context, with ids that are stable', async () => {
    const { run, recorded } = invoking(async (_, { broadcast, emit }) => {
      broadcast('user.1', 'ready', { a: 1 }, { except: '1.2' })
      await emit({ topic: 'a', event: 'x', data: 1, key: 'k', headers: { h: '1' } })
      await emit({ topic: 'a', data: Buffer.from('z'), format: 'raw', broker: 'kafka' })
    })
    await run()
    await run({}, { number: 2 })
    expect(recorded.broadcasts[0]).toEqual({ app: 'app', channel: 'user.1', event: 'ready', data: { a: 1 }, except: '1.2' })
    const [one, two, again] = recorded.emits
    expect(one).toMatchObject({ broker: 'local', record: { topic: 'a', key: Buffer.from('k'), headers: { h: Buffer.from('1') } } })
    expect(two).toMatchObject({ broker: 'kafka', record: { key: null, value: Buffer.from('z') } })
    expect(again?.record.value).toEqual(one?.record.value)
  })

  test('after the attempt is over neither broadcast nor emit does anything', async () => {
    const over = new AbortController()
    let later: HandlerContext | undefined
    const { run, recorded } = invoking((_, context) => {
      later = context
    })
    run({}, { signal: over.signal, record: recordOf() })
    over.abort(new Error('timed out'))
    expect(() => later?.broadcast('x', 'y', 1)).toThrow('the attempt is over')
    await expect(later?.emit({ topic: 'a', data: 1 })).rejects.toThrow('the attempt is over')
    expect(recorded).toMatchObject({ broadcasts: [], emits: [] })
  })

  test('ctx.broadcast must name its app where there are several', () => {
    expect(() => invoking((_, { broadcast }) => broadcast('x', 'y', 1), {}, ['a', 'b']).run()).toThrow('must name its app')
    const { run, recorded } = invoking((_, { broadcast }) => broadcast('x', 'y', 1, { app: 'b' }), {}, ['a', 'b'])
    run()
    expect(recorded.broadcasts).toMatchObject([{ app: 'b' }])
  })

  test.each([
    ['../handlers/none.ts', 'handler-missing', 'The handler handlers/none.ts does not exist'],
    ['../../handlers/receipt.ts', 'handler-missing', '`../../handlers/receipt.ts` lies outside the project'],
    ['/handlers/receipt.ts', 'handler-missing', '`/handlers/receipt.ts` lies outside the project'],
    ['../handlers/receipt.py', 'handler-invalid', 'handlers/receipt.py is not a handler module'],
    ['../handlers/receipt.ts#', 'handler-invalid', 'The name of the export is missing after #'],
  ])('%s is reported when it is loaded', (written, code, message) => {
    expect(actionProblems([{ invoke: written }], { handlers })).toMatchObject([{ code, message }])
    expect(actionProblems([{ invoke: { handler: written } }], { handlers })).toMatchObject([{ code, message }])
  })

  test('templates in its parameters are checked when it is loaded', () => {
    expect(actionProblems([{ invoke: path, with: { a: '{{oops}}' } }], { handlers })).toMatchObject([{ code: 'template-root' }])
  })
})

describe('a handler module', () => {
  test('gets its types from defineHandler, which changes nothing', () => {
    const handler = (event: HandlerEvent<{ total: number }>) => event.data.total
    expect(defineHandler(handler)).toBe(handler)
  })

  test('PermanentError is known by its name and flag', () => {
    expect(new PermanentError('no', { cause: 1 })).toMatchObject({ name: 'PermanentError', permanent: true, message: 'no', cause: 1 })
  })
})
