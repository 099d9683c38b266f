import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { AppHistory } from '../../src/realtime/backplane/app-history.ts'
import { RedisHistory } from '../../src/realtime/backplane/redis-history.ts'
import { RedisLink } from '../../src/realtime/backplane/redis-link.ts'
import { readMessage } from '../../src/realtime/backplane/wire.ts'
import { type Append, type HistoryListener, HistoryUnavailable, type Position } from '../../src/realtime/history/history.ts'
import { describeWithRedis, RedisServer } from '../support/redis-server.ts'
import { eventually } from './fleet.ts'
import { deferred, silentLog } from './harness.ts'
import { historyContract, made } from './history-contract.ts'

interface Instance {
  readonly history: RedisHistory
  readonly follow: (channel: string) => void
  readonly link: RedisLink
  /** As after a reconnect. */
  readonly up: () => void
  /** Messages are not heard while this is set. */
  isDeaf: boolean
}

describeWithRedis('in redis', () => {
  let redis: RedisServer
  const links: RedisLink[] = []

  beforeAll(async () => {
    redis = await RedisServer.start()
  })

  afterAll(async () => {
    for (const link of links) link.close()
    await redis.stop()
  })

  let rules = 'all'

  async function open(listener: HistoryListener, place = `test-${randomUUID()}:{shop}:`, url = redis.url): Promise<Instance> {
    const [topic, ownTopic] = [`${place}messages`, `${place}to:${randomUUID()}`]
    const isUp = deferred<void>()
    const hear = (message: Buffer): void =>
      readMessage(
        message,
        'one',
        () => true,
        line => {
          if (instance.isDeaf || line === undefined) return
          if (line.kind === 'kept') app.follower.heard(line.channel, line.event, line.except)
          if (line.kind === 'stand') app.follower.stands(line.channel, line.at)
        },
      )
    const link = new RedisLink({
      url,
      log: silentLog,
      topics: () => [topic, ownTopic],
      onMessage: (_, message) => hear(message),
      onUp: () => {
        isUp.resolve()
        app.up()
      },
      onDown: () => app.down(),
    })
    const app = new AppHistory({ app: 'shop', place, topic, ownTopic, link, listener, isKept: () => true, rules: () => rules })
    const history = new RedisHistory(new Map([['shop', app]]), () => {})
    const instance: Instance = {
      history,
      follow: channel => app.follower.follow(channel),
      link,
      up: () => app.up(),
      isDeaf: false,
    }
    links.push(link)
    await link.open()
    await isUp.promise
    return instance
  }

  historyContract(async listener => (await open(listener)).history)

  const limits = { size: 3, ttlMs: 60_000, bytes: 1_000_000 }
  const entry = (text: string, origin?: string): Append => ({
    app: 'shop',
    channel: 'a',
    limits,
    origin,
    ...made('e', text),
    except: undefined,
  })
  const heardBy = (got: string[]): HistoryListener => ({
    deliver: (_, __, { text }) => got.push(text),
    lost: (_, __, { serial }, why) => got.push(`${why} ${serial}`),
  })
  /** Everything said up to now has been heard. */
  const settled = async (...instances: readonly Instance[]): Promise<void> => {
    for (const { history } of instances) await history.position('shop', randomUUID())
  }

  test('every instance delivers an event once, in order; what was missed is fetched, or told where it is gone', async () => {
    const place = `test-${randomUUID()}:{shop}:`
    const [here, there]: [string[], string[]] = [[], []]
    const one = await open(heardBy(here), place)
    const other = await open(heardBy(there), place)
    for (const { follow } of [one, other]) follow('a')
    await one.history.append(entry('1', 'first'))
    expect(await other.history.append(entry('1', 'first'))).toMatchObject({ isRepeat: true })
    await eventually(async () => there.length === 1)
    const hears = await listenTo(redis, `${place}messages`)
    other.isDeaf = true
    for (const text of ['2', '3']) await one.history.append(entry(text))
    await eventually(async () => hears() === 2)
    other.isDeaf = false
    await one.history.append(entry('4'))
    await eventually(async () => there.includes('4'))
    expect(there).toEqual(['1', '2', '3', '4'])
    other.isDeaf = true
    for (const text of ['5', '6', '7', '8']) await one.history.append(entry(text))
    await eventually(async () => here.length === 8)
    other.up()
    await eventually(async () => there.length > 4)
    expect(there.slice(4)).toEqual(['position_expired 8'])
    expect(here).toEqual(['1', '2', '3', '4', '5', '6', '7', '8'])
  })

  test('what was appended before a channel is followed, and heard after, is delivered and counted: a place skips nothing', async () => {
    const place = `test-${randomUUID()}:{shop}:`
    const got: string[] = []
    const one = await open(heardBy([]), place)
    const other = await open(heardBy(got), place)
    // Appended, place asked for and event heard overtake each other in all ways that the connections allow.
    for (let round = 1; round <= 50; round++) {
      const channel = `c${round}`
      const appended = one.history.append({ ...entry(`${round}`), channel })
      if (round % 3 === 0) await appended
      other.follow(channel)
      const at = await other.history.position('shop', channel)
      const { serial } = await appended
      await settled(other)
      const hasHeard = got.includes(`${round}`)
      // Heard, or appended before the place was asked for: then it is in the place.
      expect(hasHeard || at.serial === serial).toBe(true)
      await one.history.append({ ...entry(`${round}b`), channel })
      await eventually(async () => got.includes(`${round}b`))
    }
    expect(got.filter((text, index) => got.indexOf(text) !== index)).toEqual([])
  })

  test('whoever follows a channel while redis is away is told that it may have missed something', async () => {
    const own = await RedisServer.start()
    onTestFinished(() => own.stop())
    const got: string[] = []
    const { history, link, follow } = await open(heardBy(got), undefined, own.url)
    await own.kill()
    await eventually(async () => !link.isUp)
    follow('a')
    await expect(history.position('shop', 'a')).rejects.toThrow(HistoryUnavailable)
    await own.restart()
    await eventually(async () => got.length === 1)
    await history.append(entry('1'))
    await eventually(async () => got.length === 2)
    expect(got).toEqual(['position_expired 0', '1'])
  })

  test('redis away: an append says so; one that was started anew has another epoch, and whoever listens is told', async () => {
    const own = await RedisServer.start({ isKept: true })
    onTestFinished(() => own.stop())
    const got: string[] = []
    const { history, link, follow } = await open(heardBy(got), undefined, own.url)
    follow('a')
    const before = await history.append(entry('1'))
    await eventually(async () => got.length === 1)
    await own.kill()
    await eventually(async () => !link.isUp)
    await expect(history.append(entry('2', 'second'))).rejects.toThrow(HistoryUnavailable)
    await own.restart()
    await eventually(async () => got.length === 2)
    const after = await history.append(entry('2', 'second'))
    expect(after.epoch).not.toBe(before.epoch)
    await eventually(async () => got.length === 3)
    expect(got).toEqual(['1', 'epoch_changed 0', '2'])
    expect(await history.since('shop', 'a', before)).toMatchObject({ failed: 'epoch_changed' })
  })

  test('what others have written into the history is not sent to anybody', async () => {
    const place = `test-${randomUUID()}:{shop}:`
    const { history } = await open(heardBy([]), place)
    const before = await history.position('shop', 'a')
    await history.append(entry('1'))
    const forger = new Redis(redis.url)
    onTestFinished(() => forger.disconnect())
    await forger.hset(`${place}history:a`, 's', '2')
    await forger.xadd(`${place}events:a`, '2-0', 'v', '9999999999999\t1\t\t\t"pusher:error"\t"{}"')
    await expect(history.since('shop', 'a', before)).rejects.toThrow(HistoryUnavailable)
  })

  test('any number of events at one time keep their order, large ones among them', async () => {
    const got: string[] = []
    const { history, follow } = await open(heardBy(got))
    follow('a')
    const texts = Array.from({ length: 1_000 }, (_, n) => (n % 100 === 50 ? `${n} ${'x'.repeat(200_000)}` : `${n}`))
    const appended = await Promise.all(texts.map(text => history.append(entry(text))))
    expect(appended.map(({ serial }) => serial)).toEqual(texts.map((_, n) => n + 1))
    await eventually(async () => got.length === texts.length)
    expect(got).toEqual(texts)
  })

  test('one that redis has no room for waits like one that it cannot be reached for', async () => {
    const own = await RedisServer.start()
    onTestFinished(() => own.stop())
    const { history } = await open(heardBy([]), undefined, own.url)
    const admin = new Redis(own.url)
    onTestFinished(() => admin.disconnect())
    expect(await history.position('shop', 'old')).toMatchObject({ serial: 0 })
    await admin.config('SET', 'maxmemory', '1')
    await expect(history.append(entry('1', 'first'))).rejects.toThrow(/^no history: Redis at .* OOM/)
    expect(await history.position('shop', 'new')).toMatchObject({ serial: 0 })
    await admin.config('SET', 'maxmemory', '0')
    expect(await history.append(entry('1', 'first'))).toMatchObject({ serial: 1, isRepeat: false })
  })

  test('names without events take nothing, however many are asked for, and whoever has missed nothing goes on', async () => {
    const place = `test-${randomUUID()}:{shop}:`
    const { history } = await open(heardBy([]), place)
    const client = new Redis(redis.url)
    onTestFinished(() => client.disconnect())
    const places = []
    for (let round = 0; round < 50; round++) places.push(await history.position('shop', `c${round}`))
    for (const [round, at] of places.entries()) {
      expect(await history.since('shop', `c${round}`, at)).toEqual({ events: [], upTo: at })
    }
    expect(await client.keys(`${place.replace('{', '\\{')}*`)).toEqual([`${place}beginning`])
  })

  test('a place before the first event holds for days, whether or not one has come, but for fewer than an event is remembered', async () => {
    const place = `test-${randomUUID()}:{shop}:`
    const { history } = await open(heardBy([]), place)
    const { epoch } = await history.position('shop', 'a')
    const [, start = '', day = ''] = /^(.*)-(\d+)$/.exec(epoch) ?? []
    const daysAgo = (days: number) => ({ epoch: `${start}-${Number(day) - days}`, serial: 0 })
    const texts = async (from: Position) => {
      const replay = await history.since('shop', 'a', from)
      return 'failed' in replay ? replay.failed : replay.events.map(({ text }) => text)
    }
    for (const found of [[], ['1']]) {
      expect(await texts(daysAgo(0))).toEqual(found)
      expect(await texts(daysAgo(6))).toEqual(found)
      expect(await texts(daysAgo(7))).toBe('epoch_changed')
      expect(await texts(daysAgo(-1))).toBe('epoch_changed')
      expect(await texts({ ...daysAgo(1), serial: 1 })).toBe('epoch_changed')
      if (found.length === 0) await history.append(entry('1'))
    }
  })

  test('a channel that was forgotten begins in another epoch', async () => {
    const { history } = await open(heardBy([]))
    const before = await history.position('shop', 'a')
    const quiet = await history.position('shop', 'b')
    const first = await history.append(entry('1'))
    history.retain(() => false)
    const again = await history.append(entry('1'))
    expect(again.epoch).not.toBe(first.epoch)
    for (const position of [before, first]) expect(await history.since('shop', 'a', position)).toMatchObject({ failed: 'epoch_changed' })
    expect(await history.since('shop', 'b', quiet)).toMatchObject({ failed: 'epoch_changed' })
  })

  test('rules that may have let events pass by end the places of channels without events; the same rules anew do not', async () => {
    const place = `test-${randomUUID()}:{shop}:`
    const before = await (await open(heardBy([]), place)).history.position('shop', 'a')
    const same = await open(heardBy([]), place)
    expect(await same.history.since('shop', 'a', before)).toMatchObject({ events: [] })
    rules = 'others'
    onTestFinished(() => {
      rules = 'all'
    })
    const other = await open(heardBy([]), place)
    expect(await other.history.since('shop', 'a', before)).toMatchObject({ failed: 'epoch_changed' })
    rules = 'all'
    const again = await open(heardBy([]), place)
    expect(await again.history.since('shop', 'a', before)).toMatchObject({ failed: 'epoch_changed' })
  })

  test('a longer ttl holds from the next event on', async () => {
    const place = `test-${randomUUID()}:{shop}:`
    const { history } = await open(heardBy([]), place)
    const client = new Redis(redis.url)
    onTestFinished(() => client.disconnect())
    await history.append(entry('1'))
    await history.append({ ...entry('2'), limits: { ...limits, ttlMs: 3_600_000 } })
    expect(await client.pttl(`${place}events:a`)).toBeGreaterThan(3_600_000)
  })

  test('channels that are gone leave nothing behind', async () => {
    const place = `test-${randomUUID()}:{shop}:`
    const { history } = await open(heardBy([]), place)
    const client = new Redis(redis.url)
    onTestFinished(() => client.disconnect())
    for (let round = 0; round < 300; round++) {
      await history.append({ ...entry('1'), channel: `c${round}` })
      await client.del(`${place}history:c${round}`, `${place}events:c${round}`)
    }
    expect(await client.scard(`${place}histories`)).toBeLessThan(100)
  })
})

/** Counts the messages of a channel of Redis from now on. */
async function listenTo({ url }: RedisServer, topic: string): Promise<() => number> {
  const listener = new Redis(url)
  onTestFinished(() => listener.disconnect())
  let count = 0
  listener.on('message', () => {
    count += 1
  })
  await listener.subscribe(topic)
  return () => count
}
