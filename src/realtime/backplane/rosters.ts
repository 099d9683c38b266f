import type { Member } from '../presence.ts'
import type { Line } from './wire.ts'

export type MemberLine = Extract<Line, { kind: 'member' }>

/** The members of a channel as Redis holds them at one moment. */
export interface RosterReading {
  readonly version: number
  readonly members: readonly (Member & { readonly incarnation: string })[]
}

interface RemoteMember extends Member {
  readonly incarnations: Set<string>
}

interface Roster {
  version: number
  readonly members: Map<string, RemoteMember>
  /** Set while it is being read. */
  loading: Promise<void> | undefined
  /** The newest version that somebody has spoken of. */
  newest: number
  isKnown: boolean
}

export interface RostersOptions {
  readonly isOwn: (incarnation: string) => boolean
  /** Rejects where Redis does not answer. */
  readonly read: (channel: string) => Promise<RosterReading>
  readonly appeared: (channel: string, member: Member) => void
  readonly disappeared: (channel: string, member: Member) => void
}

const nobody: ReadonlyMap<string, Member> = new Map()

/**
 * Who is on other instances, of the presence channels that have subscribers here: read once, then followed by messages. Every change of a channel has
 * the next version; where one was missed, or overtook the reading, the roster is read again, and only the difference is told.
 */
export class Rosters {
  readonly #options: RostersOptions
  readonly #rosters = new Map<string, Roster>()
  #doubt: NodeJS.Timeout | undefined

  constructor(options: RostersOptions) {
    this.#options = options
  }

  members(channel: string): ReadonlyMap<string, Member> {
    return this.#rosters.get(channel)?.members ?? nobody
  }

  /** Resolves, or rejects, with the reading; undefined where the channel is followed already. */
  follow(channel: string): Promise<void> | undefined {
    const roster = this.#rosters.get(channel) ?? this.#create(channel)
    if (roster.isKnown) return undefined
    return this.#load(channel, roster)
  }

  forget(channel: string): void {
    this.#rosters.delete(channel)
  }

  /** Those that nobody subscribed to after all. */
  forgetUnless(isUsed: (channel: string) => boolean): void {
    for (const [channel, roster] of this.#rosters) if (roster.loading === undefined && !isUsed(channel)) this.#rosters.delete(channel)
  }

  /** Messages were missed. */
  reload(): void {
    for (const [channel, roster] of this.#rosters) this.#loadQuietly(channel, roster)
  }

  /** Redis has lost its members and is told again by everybody: who is not there yet stays for so long. */
  doubt(ms: number): void {
    clearTimeout(this.#doubt)
    this.#doubt = setTimeout(() => {
      this.#doubt = undefined
      this.reload()
    }, ms).unref()
  }

  heard(line: MemberLine): void {
    const roster = this.#rosters.get(line.channel)
    if (roster === undefined) return
    roster.newest = Math.max(roster.newest, line.version)
    if (roster.loading !== undefined || line.version <= roster.version) return
    if (!roster.isKnown || line.version !== roster.version + 1) {
      this.#loadQuietly(line.channel, roster)
      return
    }
    roster.version = line.version
    this.#apply(roster, line)
  }

  #create(channel: string): Roster {
    const roster: Roster = { version: 0, members: new Map(), loading: undefined, newest: 0, isKnown: false }
    this.#rosters.set(channel, roster)
    return roster
  }

  #loadQuietly(channel: string, roster: Roster): void {
    // Redis is away: everything is read again when it is back.
    this.#load(channel, roster).catch(() => {})
  }

  #load(channel: string, roster: Roster): Promise<void> {
    roster.loading ??= this.#read(channel, roster).finally(() => {
      roster.loading = undefined
    })
    return roster.loading
  }

  async #read(channel: string, roster: Roster): Promise<void> {
    for (let tries = 0; ; tries += 1) {
      const reading = await this.#options.read(channel)
      if (this.#rosters.get(channel) !== roster) return
      this.#take(channel, roster, reading)
      // A message that came before the reading may tell of something after it; versions that are not of this roster's life are not waited for.
      if (roster.newest <= roster.version || tries >= 3) break
    }
    roster.newest = roster.version
    roster.isKnown = true
  }

  #take(channel: string, roster: Roster, { version, members }: RosterReading): void {
    roster.version = version
    const present = new Map<string, RemoteMember>()
    for (const { incarnation, userId, info } of members) {
      if (this.#options.isOwn(incarnation)) continue
      const known = present.get(userId)
      if (known === undefined) present.set(userId, { userId, info, incarnations: new Set([incarnation]) })
      else known.incarnations.add(incarnation)
    }
    const before = new Map(roster.members)
    if (this.#doubt === undefined) roster.members.clear()
    for (const [userId, member] of present) roster.members.set(userId, member)
    for (const [userId, member] of present) if (!before.has(userId)) this.#options.appeared(channel, member)
    for (const [userId, member] of before) if (!roster.members.has(userId)) this.#options.disappeared(channel, member)
  }

  #apply({ members }: Roster, { channel, userId, incarnation, present }: MemberLine): void {
    if (this.#options.isOwn(incarnation)) return
    const known = members.get(userId)
    if (present === undefined) {
      known?.incarnations.delete(incarnation)
      if (known === undefined || known.incarnations.size > 0) return
      members.delete(userId)
      this.#options.disappeared(channel, known)
    } else if (known !== undefined) known.incarnations.add(incarnation)
    else {
      const member = { userId, info: present.info, incarnations: new Set([incarnation]) }
      members.set(userId, member)
      this.#options.appeared(channel, member)
    }
  }
}
