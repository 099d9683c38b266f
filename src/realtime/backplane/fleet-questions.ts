import { channelKind } from '../channel-kind.ts'
import type { ChannelEvent } from '../delivery.ts'
import type { Occupancy } from './backplane.ts'
import type { RedisLink } from './redis-link.ts'
import { jsonText } from './replies.ts'
import type { RosterReading } from './rosters.ts'
import { jsonInfo, readEventLine } from './wire.ts'

/** What Redis knows of an app. All reject with BackplaneError. */
export class FleetQuestions {
  readonly #link: RedisLink
  readonly #place: string

  constructor(link: RedisLink, place: string) {
    this.#link = link
    this.#place = place
  }

  async channels(prefix: string): Promise<ReadonlyMap<string, Occupancy>> {
    const names = new Set<string>()
    let cursor = '0'
    do {
      const [next, entries] = await this.#link.ask(redis => redis.hscan(`${this.#place}channels`, cursor, 'COUNT', 1_000))
      for (let index = 0; index < entries.length; index += 2) {
        const name = entries[index]
        if (name?.startsWith(prefix) === true) names.add(name)
      }
      cursor = next
    } while (cursor !== '0')
    const listed = [...names]
    const occupancy = await this.occupancy(listed)
    return new Map(listed.flatMap((name, index) => entryOf(name, occupancy[index])))
  }

  async occupancy(channels: readonly string[]): Promise<readonly Occupancy[]> {
    if (channels.length === 0) return []
    const present = channels.filter(name => channelKind(name).kind === 'presence')
    const [counts, users] = await Promise.all([
      this.#link.ask(redis => redis.hmget(`${this.#place}channels`, ...channels)),
      Promise.all(present.map(name => this.#link.ask(redis => redis.hlen(`${this.#place}users:${name}`)))),
    ])
    const usersOf = new Map(present.map((name, index) => [name, users[index] ?? 0]))
    return channels.map((name, index) => ({ subscriptions: Number(counts[index] ?? 0) || 0, users: usersOf.get(name) ?? 0 }))
  }

  async users(channel: string): Promise<readonly string[]> {
    const written = await this.#link.ask(redis => redis.hkeys(`${this.#place}users:${channel}`))
    return written.map(jsonText).filter(userId => userId !== undefined)
  }

  async roster(channel: string): Promise<RosterReading> {
    const fields = await this.#link.ask(redis => redis.hgetall(`${this.#place}members:${channel}`))
    const members = Object.entries(fields).flatMap(([field, written]) => {
      const end = field.indexOf('\n')
      const userId = end === -1 ? undefined : jsonText(field.slice(end + 1))
      const info = jsonInfo(written)
      return userId === undefined || info === undefined ? [] : [{ incarnation: field.slice(0, end), userId, ...info }]
    })
    return { version: Number(fields['v'] ?? 0) || 0, members }
  }

  /** Not waited for: the last event is told by message too. */
  keep(channel: string, line: Buffer, forMs: number): void {
    this.#link.ask(redis => redis.set(this.#cacheOf(channel), line, 'PX', forMs)).catch(() => {})
  }

  async kept(channel: string): Promise<{ readonly event: ChannelEvent; readonly leftMs: number } | undefined> {
    const key = this.#cacheOf(channel)
    const [line, leftMs] = await Promise.all([this.#link.ask(redis => redis.getBuffer(key)), this.#link.ask(redis => redis.pttl(key))])
    const event = line === null ? undefined : readEventLine(line)
    return event === undefined || leftMs <= 0 ? undefined : { event, leftMs }
  }

  #cacheOf(channel: string): string {
    return `${this.#place}cache:${channel}`
  }
}

function entryOf(name: string, occupancy: Occupancy | undefined): [string, Occupancy][] {
  return occupancy === undefined ? [] : [[name, occupancy]]
}
