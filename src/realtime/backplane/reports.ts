import type { FleetApp } from './backplane.ts'

/** Entries of one report: short enough that Redis is not kept from others. */
const mostEntries = 500

interface MemberKey {
  readonly channel: string
  readonly userId: string
}

export interface Report {
  /** Arguments of the script: the number of channels, then channels and members. */
  readonly args: readonly (string | number)[]
  /** Something may have ended with it. */
  readonly hasEnds: boolean
  /** It has arrived. */
  done(): void
  /** It may not have arrived: all of it is told again. */
  failed(): void
}

/**
 * What this instance has to tell Redis of an app, and what it has told. A report says how things are, never how they changed: it may be said twice, or late,
 * and what changed back in between is not said at all. What came and went while Redis was away is forgotten: it grows with what is here, not with time.
 */
export class Reports {
  readonly #app: FleetApp
  readonly #toldChannels = new Map<string, number>()
  readonly #toldMembers = new Map<string, MemberKey>()
  /** Told once, and lost by Redis since: it is news to nobody. */
  readonly #lost = new Set<string>()
  /** Sent, and not answered: Redis may have been told. */
  readonly #unsure = new Set<string>()
  readonly #channels = new Set<string>()
  readonly #members = new Map<string, MemberKey>()
  /** Channels whose subscribers want to know how many they are. */
  readonly #counts = new Set<string>()

  constructor(app: FleetApp) {
    this.#app = app
  }

  get isEmpty(): boolean {
    return this.#channels.size === 0 && this.#members.size === 0
  }

  channel(name: string): void {
    if (this.#app.channels.has(name) || this.#toldChannels.has(name) || this.#mayBeKnown(name)) {
      this.#channels.add(name)
      return
    }
    this.#channels.delete(name)
    this.#counts.delete(name)
  }

  count(name: string): void {
    this.channel(name)
    if (this.#channels.has(name)) this.#counts.add(name)
  }

  member(channel: string, userId: string): void {
    const key = memberKey(channel, userId)
    const isPresent = this.#app.channels.get(channel)?.members?.has(userId) === true
    if (isPresent || this.#toldMembers.has(key) || this.#mayBeKnown(key)) this.#members.set(key, { channel, userId })
    else this.#members.delete(key)
  }

  #mayBeKnown(key: string): boolean {
    return this.#unsure.has(key) || this.#lost.has(key)
  }

  /** Nothing of what was told is there any more. `isLost`: Redis has forgotten; otherwise the others were told that it ended. */
  startOver(isLost: boolean): void {
    const told = isLost ? { channels: [...this.#toldChannels.keys()], members: [...this.#toldMembers] } : { channels: [], members: [] }
    for (const known of [this.#toldChannels, this.#toldMembers, this.#lost, this.#unsure, this.#channels, this.#members]) known.clear()
    for (const name of told.channels) {
      this.#lost.add(name)
      this.#channels.add(name)
    }
    for (const [key, member] of told.members) {
      this.#lost.add(key)
      this.#members.set(key, member)
    }
    for (const { name, members } of this.#app.channels.values()) {
      if (name.startsWith('#')) continue
      this.#channels.add(name)
      for (const userId of members?.keys() ?? []) this.member(name, userId)
    }
    for (const name of this.#counts) if (!this.#channels.has(name)) this.#counts.delete(name)
  }

  /** The next part of what is to be told. */
  take(): Report {
    const channels = [...first(this.#channels, mostEntries)].map(name => ({
      name,
      count: this.#app.channels.get(name)?.subscriptions.length ?? 0,
      isLost: this.#lost.has(name),
      isCounted: this.#counts.delete(name),
    }))
    for (const { name } of channels) this.#channels.delete(name)
    const members = [...first(this.#members, mostEntries - channels.length)].map(([key, member]) => ({
      key,
      ...member,
      present: this.#app.channels.get(member.channel)?.members?.get(member.userId),
      isLost: this.#lost.has(key),
    }))
    for (const { key } of members) this.#members.delete(key)
    const keys = [...channels.map(({ name }) => name), ...members.map(({ key }) => key)]
    for (const key of keys) this.#unsure.add(key)
    return {
      args: [
        channels.length,
        ...channels.flatMap(({ name, count, isLost, isCounted }) => [name, count, flag(isLost), flag(isCounted)]),
        ...members.flatMap(({ channel, userId, present, isLost }) => [
          channel,
          JSON.stringify(userId),
          flag(present !== undefined),
          present?.info ?? '',
          flag(isLost),
        ]),
      ],
      hasEnds: channels.some(({ count }) => count === 0) || members.some(({ present }) => present === undefined),
      done: () => {
        for (const { name, count } of channels) set(this.#toldChannels, name, count === 0 ? undefined : count)
        for (const { key, channel, userId, present } of members) {
          set(this.#toldMembers, key, present === undefined ? undefined : { channel, userId })
        }
        for (const key of keys) {
          this.#lost.delete(key)
          this.#unsure.delete(key)
        }
      },
      failed: () => {
        for (const { name, isCounted } of channels) isCounted ? this.count(name) : this.channel(name)
        for (const { channel, userId } of members) this.member(channel, userId)
      },
    }
  }
}

/** No channel's name holds a line break. */
function memberKey(channel: string, userId: string): string {
  return `${channel}\n${userId}`
}

function flag(is: boolean): '1' | '0' {
  return is ? '1' : '0'
}

function set<Value>(map: Map<string, Value>, key: string, value: Value | undefined): void {
  if (value === undefined) map.delete(key)
  else map.set(key, value)
}

function* first<Entry>(entries: Iterable<Entry>, most: number): Generator<Entry> {
  let left = most
  for (const entry of entries) {
    if (left <= 0) return
    left -= 1
    yield entry
  }
}
