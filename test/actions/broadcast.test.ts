import { describe, expect, test } from 'vitest'
import { ActionSignal } from '../../src/compiler/plan.ts'
import { actionProblems, running } from './running.ts'

const skip = (reason: string) => new ActionSignal('skip', reason)

describe('broadcast', () => {
  test('in short form passes event name and data through', () => {
    const { run, recorded, summaries } = running([{ broadcast: 'user.{{data.user_id}}' }])
    const data = { user_id: 7 }
    expect(run({ data })).toBeUndefined()
    expect(recorded.broadcasts).toEqual([{ app: 'app', channel: 'user.7', event: 'order.created', data, except: undefined }])
    expect(recorded.broadcasts[0]?.data).toBe(data)
    expect(summaries).toEqual(['broadcast user.{{data.user_id}}'])
  })

  test('in long form says everything itself', () => {
    const { run, recorded } = running(
      [
        {
          broadcast: {
            channel: 'user.{{data.user}}',
            event: 'order.{{data.state}}',
            data: { id: '{{data.id}}' },
            except: '{{data.socket}}',
            app: 'two',
          },
        },
      ],
      { apps: ['one', 'two'] },
    )
    run({ data: { user: 'u', state: 'paid', id: 5, socket: '1.2' } })
    expect(recorded.broadcasts).toEqual([{ app: 'two', channel: 'user.u', event: 'order.paid', data: { id: 5 }, except: '1.2' }])
  })

  test.each([
    ['no event', { event: undefined, data: {} }, 'no-event'],
    ['missing data', { data: undefined }, 'null-data'],
    ['null data', { data: null }, 'null-data'],
    ['bytes', { data: Buffer.from('x') }, 'binary-data'],
  ])('is skipped for %s, before its channel is rendered', (_, scope, reason) => {
    for (const broadcast of ['user.{{data.user_id}}', { channels: ['user.{{data.user_id}}'] }]) {
      const { run, recorded } = running([{ broadcast }])
      expect(run(scope)).toEqual(skip(reason))
      expect(run(scope)).toBe(run(scope))
      expect(recorded.broadcasts).toEqual([])
    }
  })

  test('with an event name of its own needs none in the message', () => {
    const { run, recorded } = running([{ broadcast: { channel: 'x', event: 'tick' } }])
    expect(run({ event: undefined, data: 1 })).toBeUndefined()
    expect(recorded.broadcasts).toMatchObject([{ event: 'tick', data: 1 }])
  })

  test('is skipped for a message with null data even with data of its own, and where that comes out as null', () => {
    const { run, recorded } = running([
      { broadcast: { channel: 'x', data: { a: 1 } } },
      { broadcast: { channel: 'x', data: '{{data.gone}}' } },
    ])
    expect(run({ data: null })).toEqual(skip('null-data'))
    expect(run({ data: {} }, {}, 1)).toEqual(skip('null-data'))
    expect(recorded.broadcasts).toEqual([])
  })

  test('renders the channel even when nobody listens', () => {
    const { run } = running([{ broadcast: 'user.{{data.user_id}}' }], { heard: () => false })
    expect(() => run({ data: {} })).toThrow('data.user_id is missing')
  })

  test('sends nothing when nobody listens', () => {
    const { run, recorded } = running([{ broadcast: 'user.{{data.user_id}}' }], { heard: () => false })
    expect(run({ data: { user_id: 1 } })).toBeUndefined()
    expect(recorded).toMatchObject({ broadcasts: [], asked: ['user.1'] })
  })

  test('renders data that can fail even when nobody listens', () => {
    const { run } = running([{ broadcast: { channel: 'x', data: { text: 'n {{data.n}}' } } }], { heard: () => false })
    expect(() => run({ data: {} })).toThrow('data.n is missing')
    expect(run({ data: { n: 1 } })).toBeUndefined()
  })

  test('goes to several channels, each one somebody listens to', () => {
    const { run, recorded } = running([{ broadcast: { channels: ['a.{{data.x}}', 'b', 'c.{{data.x}}'] } }], {
      heard: channel => channel !== 'b',
    })
    run({ data: { x: 1 } })
    expect(recorded.broadcasts.map(({ channel }) => channel)).toEqual(['a.1', 'c.1'])
  })

  test('sends to none of several channels when one of them cannot be rendered', () => {
    const { run, recorded } = running([{ broadcast: { channels: ['a.{{data.x}}', 'b.{{data.y}}'] } }])
    expect(() => run({ data: { x: 1 } })).toThrow('data.y is missing')
    expect(recorded.broadcasts).toEqual([])
  })

  test('except may be missing, not malformed', () => {
    const { run, recorded } = running([
      { broadcast: { channel: 'x', except: '{{headers.socket}}' } },
      { broadcast: { channel: 'x', except: '{{data.socket}}' } },
    ])
    run({ data: {} })
    run({ data: { socket: null } }, {}, 1)
    expect(recorded.broadcasts.map(({ except }) => except)).toEqual([undefined, undefined])
    expect(() => run({ data: { socket: {} } }, {}, 1)).toThrow('data.socket is an object')
  })

  test('must name its app where there are several', () => {
    expect(actionProblems([{ broadcast: 'x' }], { apps: ['one', 'two'] })).toMatchObject([
      { code: 'app-unknown', hint: 'Add `app` to the long form; the apps are one, two' },
    ])
    expect(actionProblems([{ broadcast: { channel: 'x', app: 'tow' } }], { apps: ['one', 'two'] })).toMatchObject([
      { code: 'app-unknown', hint: 'Did you mean `two`?' },
    ])
  })

  test('reports every mistake in it at once', () => {
    const codes = actionProblems([
      { broadcast: { channels: ['a b', '{{oops}}'], event: '{{#if x}}{{/if}}', data: { '{{k}}': 1 }, except: '{{nope}}', app: 'none' } },
    ]).map(({ code }) => code)
    expect(codes.toSorted()).toEqual([
      'app-unknown',
      'template-name',
      'template-root',
      'template-root',
      'template-syntax',
      'template-syntax',
    ])
  })
})
