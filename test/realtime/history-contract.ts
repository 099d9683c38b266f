import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { jsonBytes } from '../../src/realtime/frame.ts'
import type { Append, History, HistoryListener, MadeEvent, PlacedEvent, Position, Replay } from '../../src/realtime/history/history.ts'

/** An event as a broadcaster hands it over. */
export function made(event: string, text: string): Pick<Append, 'name' | 'made'> {
  const bytes: MadeEvent = { event: jsonBytes(event), data: jsonBytes(text), text }
  return { name: event, made: bytes }
}

/** What every history does. `open` gives one in which the channels made here are new. */
export function historyContract(open: (listener: HistoryListener) => Promise<History>): void {
  const app = 'shop'
  let history: History
  let channel = ''
  let delivered: { channel: string; event: PlacedEvent }[] = []
  let lost: string[] = []

  const limits = { size: 100, ttlMs: 60_000, bytes: 1_000_000 }
  const entry = (text: string, more: Partial<Append> = {}): Append => ({
    app,
    channel,
    limits,
    origin: undefined,
    ...made('changed', text),
    except: undefined,
    ...more,
  })
  const texts = (replay: Replay): readonly string[] | string => ('failed' in replay ? replay.failed : replay.events.map(({ text }) => text))
  const since = async (position: Position): Promise<readonly string[] | string> => texts(await history.since(app, channel, position))

  beforeEach(async () => {
    delivered = []
    lost = []
    channel = `private-${randomUUID()}`
    history = await open({
      deliver: (_, name, event) => delivered.push({ channel: name, event }),
      lost: (_, name) => lost.push(name),
    })
  })

  afterEach(async () => {
    expect(lost).toEqual([])
    await history.close()
  })

  test('events get serials without holes, each channel its own, in one epoch that fits into a header', async () => {
    const first = await history.append(entry('1'))
    expect(first.epoch).toMatch(/^[A-Za-z0-9_-]{1,64}$/)
    for (let n = 2; n <= 5; n++) {
      expect(await history.append(entry(String(n)))).toEqual({ epoch: first.epoch, serial: first.serial + n - 1, isRepeat: false })
    }
    const other = `${channel}.other`
    const { serial } = await history.append(entry('a', { channel: other }))
    expect(await history.append(entry('b', { channel: other }))).toMatchObject({ serial: serial + 1 })
  })

  test('whoever asks from a position gets all that came after it, in order, with name, data and exception', async () => {
    const start = await history.position(app, channel)
    expect(await since(start)).toEqual([])
    await history.append(entry('', { ...made('first', '{"n":1}'), except: '1.2' }))
    const middle = await history.append(entry('"ü €"'))
    await history.append(entry(''))
    const replay = await history.since(app, channel, start)
    expect(replay).toEqual({
      events: [
        { serial: start.serial + 1, event: 'first', text: '{"n":1}', except: '1.2' },
        { serial: start.serial + 2, event: 'changed', text: '"ü €"', except: undefined },
        { serial: start.serial + 3, event: 'changed', text: '', except: undefined },
      ],
      upTo: { epoch: start.epoch, serial: start.serial + 3 },
    })
    expect(await since(middle)).toEqual([''])
  })

  test('every event is delivered once, in the order of the serials, and `position` follows', async () => {
    const start = await history.position(app, channel)
    await Promise.all(Array.from({ length: 50 }, (_, n) => history.append(entry(String(n)))))
    await expect.poll(() => delivered.length).toBe(50)
    expect(delivered.map(({ event }) => event.text)).toEqual(Array.from({ length: 50 }, (_, n) => String(n)))
    expect(delivered.map(({ event }) => event.at.serial)).toEqual(Array.from({ length: 50 }, (_, n) => start.serial + n + 1))
    expect(new Set(delivered.map(({ event }) => event.at.epoch))).toEqual(new Set([start.epoch]))
    expect(await history.position(app, channel)).toEqual({ epoch: start.epoch, serial: start.serial + 50 })
  })

  test('what comes from the same place twice is kept and delivered once, whatever came between', async () => {
    const start = await history.position(app, channel)
    const first = await history.append(entry('a', { origin: 'kafka:orders:0:7:orders/created:0' }))
    await history.append(entry('b', { origin: 'kafka:orders:0:8:orders/created:0' }))
    const again = await history.append(entry('a', { origin: 'kafka:orders:0:7:orders/created:0' }))
    expect(again).toEqual({ ...first, isRepeat: true })
    await history.append(entry('c'))
    await history.append(entry('c'))
    expect(await since(start)).toEqual(['a', 'b', 'c', 'c'])
    await expect.poll(() => delivered.map(({ event }) => event.text)).toEqual(['a', 'b', 'c', 'c'])
  })

  test('the same place may send to several channels', async () => {
    const origin = 'kafka:orders:0:9:orders/created:0'
    await history.append(entry('a', { origin }))
    expect(await history.append(entry('a', { origin, channel: `${channel}.b` }))).toMatchObject({ isRepeat: false })
  })

  test('past `size` the oldest go, and a position before them has expired', async () => {
    const start = await history.position(app, channel)
    for (let n = 1; n <= 8; n++) await history.append(entry(String(n), { limits: { ...limits, size: 3 } }))
    const at = (serial: number) => ({ epoch: start.epoch, serial: start.serial + serial })
    expect(await since(start)).toBe('position_expired')
    expect(await since(at(4))).toBe('position_expired')
    expect(await since(at(5))).toEqual(['6', '7', '8'])
    expect(await since(at(8))).toEqual([])
  })

  test('past `bytes` the oldest go; an event that is larger alone is delivered all the same', async () => {
    const start = await history.position(app, channel)
    const small = { ...limits, bytes: 5_000 }
    for (let n = 1; n <= 40; n++) await history.append(entry(`${n}`.padEnd(500, '.'), { limits: small }))
    expect(await since(start)).toBe('position_expired')
    expect(await since({ epoch: start.epoch, serial: start.serial + 39 })).toHaveLength(1)
    const large = await history.append(entry('x'.repeat(20_000), { limits: small }))
    await expect.poll(() => delivered.at(-1)?.event.text.length).toBe(20_000)
    expect(await since(large)).toEqual([])
    const next = await history.append(entry('next', { limits: small }))
    expect(next.serial).toBe(large.serial + 1)
    expect(await since(large)).toEqual(['next'])
  })

  test('past `ttl` events go; who missed none of them goes on', async () => {
    const start = await history.position(app, channel)
    const last = await history.append(entry('1', { limits: { ...limits, ttlMs: 50 } }))
    await expect.poll(() => since(start)).toBe('position_expired')
    expect(await since(last)).toEqual([])
    expect(await history.append(entry('2'))).toMatchObject({ epoch: last.epoch, serial: last.serial + 1 })
    expect(await since(last)).toEqual(['2'])
    expect(await since(start)).toBe('position_expired')
  })

  test('a position of another epoch, or of events that never were, says so', async () => {
    const last = await history.append(entry('1'))
    expect(await since({ epoch: 'another', serial: last.serial })).toBe('epoch_changed')
    expect(await since({ epoch: last.epoch, serial: last.serial + 1 })).toBe('epoch_changed')
    expect(await since({ epoch: last.epoch, serial: Number.MAX_SAFE_INTEGER })).toBe('epoch_changed')
  })

  test('a channel that was not kept for a while has no whole position from before', async () => {
    const kept = `${channel}.kept`
    const before = await history.append(entry('1'))
    const other = await history.append(entry('1', { channel: kept }))
    history.retain((_, name) => name === kept)
    expect(await since(before)).toMatch(/^(position_expired|epoch_changed)$/)
    const after = await history.append(entry('2'))
    expect(await since(before)).toMatch(/^(position_expired|epoch_changed)$/)
    expect(await since(after)).toEqual([])
    expect(texts(await history.since(app, kept, other))).toEqual([])
  })

  test('names that are special elsewhere are names like any other', async () => {
    for (const name of ['__proto__', 'constructor', 'private-a;b,c@d.e=f-_']) {
      const before = await history.position(app, `${channel}${name}`)
      await history.append(entry(name, { channel: `${channel}${name}` }))
      expect(texts(await history.since(app, `${channel}${name}`, before))).toEqual([name])
    }
  })
}
