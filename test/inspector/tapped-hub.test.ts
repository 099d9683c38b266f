import { describe, expect, test } from 'vitest'
import { tapHub } from '../../src/inspector/tapped-hub.ts'
import { type Hub, HubError } from '../../src/realtime/hub.ts'

/** A hub with a fixed set of occupied channels that remembers its broadcasts. */
function recordingHub(occupied: readonly string[] = []) {
  const sent: unknown[][] = []
  const hub: Hub = {
    hasSubscribers: (_app, channel) => occupied.includes(channel),
    broadcast: (...call) => {
      if (call[1].includes(' ')) throw new HubError('channel-name', 'bad name')
      sent.push(call)
    },
  }
  return { hub, sent }
}

function recordingListener() {
  const seen: string[] = []
  const first: unknown[][] = []
  return {
    seen,
    first,
    listener: { channelSeen: (channel: string) => void seen.push(channel), firstEvent: (...call: unknown[]) => void first.push(call) },
  }
}

describe('a tapped hub', () => {
  test('tells of a channel once, whether anybody listens or not', () => {
    const { seen, listener } = recordingListener()
    const hub = tapHub(recordingHub(['news']).hub, 'app', listener)
    for (const channel of ['news', 'user.1', 'news', 'user.1']) hub.hasSubscribers('app', channel)
    expect(seen).toEqual(['news', 'user.1'])
  })

  test('passes every broadcast on as it is', () => {
    const { hub, sent } = recordingHub()
    const tapped = tapHub(hub, 'app', recordingListener().listener)
    const source = { origin: 'kafka:orders:0:1:orders/one:0' }
    tapped.broadcast('app', 'news', 'added', { n: 1 }, '1.2', source)
    tapped.broadcast('other', 'news', 'added', null)
    expect(sent).toEqual([
      ['app', 'news', 'added', { n: 1 }, '1.2', source],
      ['other', 'news', 'added', null, undefined, undefined],
    ])
  })

  test('wants the first event of an empty channel and no later one', () => {
    const { first, listener } = recordingListener()
    const tapped = tapHub(recordingHub().hub, 'app', listener)
    expect(tapped.hasSubscribers('app', 'user.1')).toBe(true)
    tapped.broadcast('app', 'user.1', 'saved', { n: 1 })
    expect(tapped.hasSubscribers('app', 'user.1')).toBe(false)
    tapped.broadcast('app', 'user.1', 'saved', { n: 2 })
    expect(first).toEqual([['user.1', 'saved', { n: 1 }]])
  })

  test('answers true for a channel with subscribers, always', () => {
    const tapped = tapHub(recordingHub(['news']).hub, 'app', recordingListener().listener)
    tapped.broadcast('app', 'news', 'added', null)
    expect(tapped.hasSubscribers('app', 'news')).toBe(true)
  })

  test('leaves other apps alone', () => {
    const { seen, first, listener } = recordingListener()
    const tapped = tapHub(recordingHub(['news']).hub, 'app', listener)
    expect(tapped.hasSubscribers('other', 'news')).toBe(true)
    expect(tapped.hasSubscribers('other', 'user.1')).toBe(false)
    tapped.broadcast('other', 'news', 'added', null)
    expect([seen, first]).toEqual([[], []])
  })

  test('shows nothing of a broadcast that the hub refuses', () => {
    const { seen, first, listener } = recordingListener()
    const tapped = tapHub(recordingHub().hub, 'app', listener)
    expect(() => tapped.broadcast('app', 'bad name', 'added', null)).toThrow(HubError)
    expect([seen, first]).toEqual([[], []])
  })

  test('remembers 500 channels and no more', () => {
    const { seen, listener } = recordingListener()
    const tapped = tapHub(recordingHub().hub, 'app', listener)
    for (let n = 0; n < 600; n++) tapped.hasSubscribers('app', `user.${n}`)
    expect(seen).toHaveLength(500)
    expect(tapped.hasSubscribers('app', 'user.599')).toBe(false)
  })
})
