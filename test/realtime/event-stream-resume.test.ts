import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { readPlaces } from '../../src/realtime/resume/stream-positions.ts'
import { describeWithRedis, RedisServer } from '../support/redis-server.ts'
import { app, type RunningServer, type ServerSetup, startServer } from './harness.ts'

const history = { size: 100, ttlMs: 60_000, bytes: 1_000_000 }

/** Reads a stream as the HTML standard says, as far as ids and data go. */
class Stream {
  lastEventId = ''
  readonly events: { event: string; channel?: string; data: unknown; id: string }[] = []
  readonly ids: string[] = []
  readonly #body: ReadableStreamDefaultReader<string>
  readonly #ended: AbortController
  #text = ''

  constructor(body: ReadableStreamDefaultReader<string>, ended: AbortController) {
    this.#body = body
    this.#ended = ended
  }

  static async open({ http }: RunningServer, query: string, lastEventId?: string): Promise<Stream> {
    const ended = new AbortController()
    onTestFinished(() => ended.abort())
    const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId }
    const response = await fetch(`${http}/sse?${query}`, { headers, signal: ended.signal })
    if (response.body === null || response.status !== 200) throw new Error(await response.text())
    return new Stream(response.body.pipeThrough(new TextDecoderStream()).getReader(), ended)
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      const { done, value } = await this.#body.read()
      if (done) throw new Error('the stream ended')
      this.#text += value
      const blocks = this.#text.split('\n\n')
      this.#text = blocks.pop() ?? ''
      for (const block of blocks) this.#take(block.split('\n'))
    }
  }

  close(): void {
    this.#ended.abort()
  }

  /** The `n` of the events of a channel. */
  of(channel: string): unknown[] {
    return this.events.flatMap(({ event, channel: of, data }) => (event === 'e' && of === channel ? [data] : []))
  }

  /** What it was told to have missed for good: channels and reasons. */
  get failures(): string[] {
    return this.events.flatMap(({ event, data }) => (event === 'router:resume_failed' ? [Object.values(Object(data)).join(' ')] : []))
  }

  #take(lines: readonly string[]): void {
    for (const line of lines) {
      if (!line.startsWith('id: ')) continue
      this.lastEventId = line.slice(4)
      this.ids.push(this.lastEventId)
    }
    const data = lines.find(line => line.startsWith('data: '))
    if (data !== undefined) this.events.push({ ...JSON.parse(data.slice(6)), id: this.lastEventId })
  }
}

async function start(setup: ServerSetup = {}): Promise<RunningServer> {
  return startServer({ channels: { 'kept.*': { history } }, ...setup })
}

async function send({ server }: RunningServer, channel: string, ...ns: readonly number[]): Promise<void> {
  await Promise.all(ns.map(n => server.hub.broadcast(app.id, channel, 'e', n)))
}

/** What a stream gets, whatever the history. */
function streamContract(open: () => Promise<RunningServer>): void {
  test('a stream goes on from its last id, in every channel, without a gap or a repeat', async () => {
    const running = await open()
    const first = await Stream.open(running, 'channels=kept.a,plain,kept.b')
    await first.until(() => first.lastEventId.split(' ').length === 2)
    await send(running, 'kept.a', 1, 2)
    await send(running, 'kept.b', 11)
    await send(running, 'plain', 21)
    await send(running, 'kept.a', 3)
    await first.until(() => first.of('kept.a').length === 3)
    // The client stopped in the middle.
    const stop = first.events.find(({ data }) => data === 11)?.id
    first.close()
    await send(running, 'kept.a', 4)
    await send(running, 'kept.b', 12)
    const second = await Stream.open(running, 'channels=kept.a,plain,kept.b', stop)
    await second.until(() => second.events.filter(({ event }) => event === 'router:resumed').length === 2)
    await send(running, 'kept.b', 13)
    await second.until(() => second.of('kept.b').length === 2)
    expect(second.of('kept.a')).toEqual([3, 4])
    expect(second.of('kept.b')).toEqual([12, 13])
    expect(second.lastEventId).toMatch(/^kept\.a:[\w-]+:4 kept\.b:[\w-]+:3$/)
  })

  test('an id that does not hold any more is answered with what happened, and the stream goes on', async () => {
    const running = await open()
    const stream = await Stream.open(running, 'channels=kept.a', 'kept.a:another:7')
    await stream.until(() => stream.events.some(({ event }) => event === 'router:resume_failed'))
    expect(stream.events.at(-1)).toMatchObject({ data: { channel: 'kept.a', reason: 'epoch_changed' } })
    await send(running, 'kept.a', 1)
    await stream.until(() => stream.of('kept.a').length === 1)
    expect(stream.lastEventId).toMatch(/^kept\.a:[\w-]+:1$/)
  })

  test('who comes back with an id that does not name a channel is told that nobody knows what it missed there', async () => {
    const running = await open()
    const first = await Stream.open(running, 'channels=kept.a,kept.b')
    await first.until(() => first.ids.length === 3)
    // Cut off before it had a place.
    expect(first.ids[0]).toBe('-')
    const [, stop] = first.ids
    first.close()
    for (const [id, unknown] of [
      ['-', ['kept.a unavailable', 'kept.b unavailable']],
      [stop, ['kept.b unavailable']],
    ] as const) {
      const second = await Stream.open(running, 'channels=kept.a,kept.b', id)
      await second.until(() => second.lastEventId.split(' ').length === 2)
      expect(second.failures).toEqual(unknown)
      await send(running, 'kept.b', 1)
      await second.until(() => second.of('kept.b').length === 1)
      second.close()
    }
  })

  test('a stream without channels with history has no ids', async () => {
    const running = await open()
    const stream = await Stream.open(running, 'channels=plain', 'kept.a:e:7')
    await send(running, 'plain', 1)
    await stream.until(() => stream.events.some(({ event }) => event === 'pusher_internal:subscription_succeeded'))
    await send(running, 'plain', 2)
    await stream.until(() => stream.of('plain').includes(2))
    expect(stream.lastEventId).toBe('')
  })
}

describe('with a history in memory', () => {
  streamContract(start)
})

describeWithRedis('with a history in redis', () => {
  let redis: RedisServer

  beforeAll(async () => {
    redis = await RedisServer.start()
  })

  afterAll(() => redis.stop())

  streamContract(() => start({ backplane: { type: 'redis', url: redis.url, prefix: `test-${randomUUID()}` } }))
})

test('an id stays small: more than 32 channels with history are refused', async () => {
  const running = await start()
  const channels = Array.from({ length: 33 }, (_, n) => `kept.${n}`)
  await expect(Stream.open(running, `channels=${channels.join(',')}`)).rejects.toThrow('At most 32 channels with history in one stream')
})

test.each(['', ' ', 'a', 'a:e', 'a:e:', 'a:e:-1', 'a:e:1e3', 'b:e:1', `a:${'e'.repeat(65)}:1`, 'a:e:9999999999999999', '__proto__:e:1'])(
  'an id that makes no sense says nothing: %j',
  id => {
    expect([...readPlaces(id, new Set(['a']))]).toEqual([])
  },
)
