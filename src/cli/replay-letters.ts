import type { OutgoingRecord } from '../brokers/broker.ts'
import type { RecordHeaders } from '../compiler/plan.ts'
import { replayTopicOf } from '../compiler/topic-selector.ts'
import type { BrokerAccess } from './broker-access.ts'
import { type DeadLetter, replaysOf, withMessage } from './dead-letters.ts'

export interface ReplayChoice {
  /** To the topic they came from, for everybody who reads it, instead of to their own group. */
  readonly toTopic: boolean
  /** Also those that were replayed before. */
  readonly again: boolean
  /** Only says what would be sent. */
  readonly dryRun: boolean
  /** Groups that a route file has. */
  readonly groups: ReadonlySet<string>
}

export interface Replayable {
  readonly letter: DeadLetter
  /** Where it goes. */
  readonly topic: string
  /** The group's own: it also says what went elsewhere. */
  readonly replayTopic: string
}

/** A letter that is not sent, and the reason in a few words. */
export interface LeftLetter {
  readonly letter: DeadLetter
  readonly why: string
}

/** Kept to be shown; there may be any number. */
const mostShown = 1_000

/** Sends letters back, page by page, and remembers what became of them. */
export class LetterReplay {
  readonly #access: BrokerAccess
  readonly #choice: ReplayChoice
  readonly #ensured = new Set<string>()
  readonly #shown: Replayable[] = []
  readonly #left: LeftLetter[] = []
  #sent = 0
  #leftCount = 0

  constructor(access: BrokerAccess, choice: ReplayChoice) {
    this.#access = access
    this.#choice = choice
  }

  get sent(): number {
    return this.#sent
  }

  /** The first of those that a dry run would have sent. */
  get shown(): readonly Replayable[] {
    return this.#shown
  }

  /** The first of those that were left out. */
  get left(): readonly LeftLetter[] {
    return this.#left
  }

  get leftCount(): number {
    return this.#leftCount
  }

  /** Rejects with BrokerError: those before may be written. */
  async take(letters: readonly DeadLetter[]): Promise<void> {
    const chosen: Replayable[] = []
    for (const letter of letters) {
      const target = targetOf(letter, this.#choice)
      if (typeof target === 'string') this.#leave({ letter, why: target })
      else chosen.push(target)
    }
    if (this.#choice.dryRun) {
      this.#sent += chosen.length
      this.#shown.push(...chosen.slice(0, mostShown - this.#shown.length))
    } else await this.#send(chosen.toSorted(byOrigin))
  }

  async #send(chosen: readonly Replayable[]): Promise<void> {
    for (const { replayTopic, letter } of chosen) {
      if (this.#ensured.has(replayTopic)) continue
      await this.#access.ensureTopic(replayTopic, letter.original?.topic ?? replayTopic)
      this.#ensured.add(replayTopic)
    }
    for (let at = 0; at < chosen.length; ) {
      const some = nextGroup(chosen, at)
      const [first] = some
      const whole = first?.letter.leftOut === undefined ? some : await fetched(this.#access, first)
      if (whole.length > 0) await Promise.all(whole.map(each => send(this.#access, each)))
      else if (first !== undefined) this.#leave({ letter: first.letter, why: `it is only a reference, and ${lies(first)} is gone` })
      this.#sent += whole.length
      at += some.length
    }
  }

  #leave(left: LeftLetter): void {
    this.#leftCount++
    if (this.#left.length < mostShown) this.#left.push(left)
  }
}

function targetOf(letter: DeadLetter, { toTopic, again, groups }: ReplayChoice): Replayable | string {
  const { group, original, state } = letter
  const replayTopic = group === undefined ? undefined : replayTopicOf(group)
  if (original === undefined || group === undefined || replayTopic === undefined) return 'its headers do not say where it came from'
  if (state === 'replayed' && !again) return 'replayed before (--again)'
  if (state === 'failed again' && !again) return 'failed again after a replay (--again)'
  if (!toTopic && !groups.has(group)) return `no route file has its group ${group} (--to-topic)`
  return { letter, replayTopic, topic: toTopic ? original.topic : replayTopic }
}

/** As they once came: messages of a key stay in order. */
function byOrigin({ letter: a }: Replayable, { letter: b }: Replayable): number {
  const one = a.original ?? a.record
  const other = b.original ?? b.record
  return one.topic < other.topic ? -1 : one.topic > other.topic ? 1 : one.partition - other.partition || one.offset - other.offset
}

/** At work at once; the broker's producer puts them into few requests. */
const atOnce = 200

/** Those that only say where their message lies go alone: it is large. */
function nextGroup(chosen: readonly Replayable[], from: number): readonly Replayable[] {
  const most = chosen.slice(from, from + atOnce)
  const end = most.findIndex(({ letter }) => letter.leftOut !== undefined)
  return end === -1 ? most : most.slice(0, Math.max(end, 1))
}

async function fetched(access: BrokerAccess, replayable: Replayable): Promise<readonly Replayable[]> {
  const letter = await withMessage(access, replayable.letter)
  return letter === undefined ? [] : [{ ...replayable, letter }]
}

function lies({ letter: { original } }: Replayable): string {
  return original === undefined ? 'its message' : `${original.topic}/${original.partition}/${original.offset}`
}

async function send(access: BrokerAccess, { letter, topic, replayTopic }: Replayable): Promise<void> {
  const { record, original, id } = letter
  const replays = { 'signalbox-replays': Buffer.from(String(replaysOf(record.headers) + 1)) }
  const of = { 'signalbox-replay-of': Buffer.from(id) }
  if (topic === replayTopic || original === undefined) {
    await access.produce(outgoing(topic, letter, { ...record.headers, ...replays, ...of }))
    return
  }
  await access.produce(outgoing(topic, letter, { ...original.headers, ...replays }))
  // Nobody acts on it: it keeps the letter from being sent twice.
  const to = { 'signalbox-replay-to': Buffer.from(topic) }
  await access.produce({ topic: replayTopic, key: record.key, value: null, headers: { ...of, ...to } })
}

function outgoing(topic: string, { record }: DeadLetter, headers: RecordHeaders): OutgoingRecord {
  return { topic, key: record.key, value: record.value, headers }
}
