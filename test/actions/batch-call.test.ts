import { describe, expect, test } from 'vitest'
import { type BatchHandler, drop } from '../../src/actions/handler.ts'
import { ActionSignal } from '../../src/compiler/plan.ts'
import { running } from './running.ts'

const handlers = ['handlers/many.ts']
const invoke = { handler: '../handlers/many.ts', batch: { size: 3, wait: '20ms' } }

function batching(handler: BatchHandler | undefined) {
  return running([{ invoke, with: { id: '{{data.id}}' } }], {
    handlers,
    batchCode: handler === undefined ? {} : { 'handlers/many.ts#default': handler },
  })
}

const messages = ['a', 'b', 'c'].map(id => ({ data: { id }, id: `evt-${id}` }))
const failed = (message: string) => ({ error: expect.objectContaining({ message }) })

describe('a call with many messages', () => {
  test('gives each a context of its own, and takes a result for each', async () => {
    const seen: unknown[] = []
    const { call, recorded } = batching((items, { signal }) => {
      seen.push(signal.aborted, ...items.map(({ event, context }) => [event.id, context.with, context.idempotencyKey]))
      for (const { event, context } of items) context.broadcast('all', 'done', event.id)
      return items.map(({ event }) => (event.id === 'evt-b' ? drop() : event.id))
    })
    expect(await call(messages)).toEqual([{ value: 'evt-a' }, { value: expect.any(ActionSignal) }, { value: 'evt-c' }])
    expect(seen).toEqual([false, ...['a', 'b', 'c'].map(id => [`evt-${id}`, { id }, `evt-${id}#orders/one#0`])])
    expect(recorded.broadcasts.map(({ data }) => data)).toEqual(['evt-a', 'evt-b', 'evt-c'])
  })

  test('fails the message that the handler reports, and no other', async () => {
    const { call } = batching(async items => {
      await Promise.resolve()
      items[1]?.fail(new Error('not this one'))
      items[2]?.fail(undefined)
    })
    expect(await call(messages)).toEqual([
      { value: undefined },
      failed('not this one'),
      failed('the handler said that this message failed'),
    ])
  })

  test('that throws fails all but those that have an error of their own', async () => {
    const { call } = batching(items => {
      items[0]?.fail(new Error('mine'))
      throw new Error('all')
    })
    expect(await call(messages)).toEqual([failed('mine'), failed('all'), failed('all')])
  })

  test('fails for good where the handler is not there, or returns a list of another length', async () => {
    for (const handler of [undefined, () => [1]])
      expect(await batching(handler).call(messages)).toEqual(messages.map(() => ({ error: expect.objectContaining({ permanent: true }) })))
  })

  test('leaves out a message whose parameters cannot be rendered: that one fails, the results of the others are theirs', async () => {
    const { call } = running([{ invoke, with: { text: 'no {{data.id}}' } }], {
      handlers,
      batchCode: { 'handlers/many.ts#default': items => items.map(({ context }) => context.with['text']) },
    })
    const [first, , last] = messages
    expect(await call([first ?? {}, { data: {} }, last ?? {}])).toEqual([
      { value: 'no a' },
      { error: expect.objectContaining({ name: 'TemplateError' }) },
      { value: 'no c' },
    ])
  })

  test('says in words and in what it renders how many may come together', () => {
    const { summaries, render } = batching(undefined)
    expect(summaries).toEqual(['invoke handlers/many.ts (up to 3 at once, within 20 ms)'])
    expect(render({ data: { id: 'a' } })).toEqual([
      { action: 'invoke', handler: 'handlers/many.ts', with: { id: 'a' }, batch: { size: 3, wait: '20ms' } },
    ])
  })
})
