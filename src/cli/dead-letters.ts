import type { RecordHeaders, RoutingPlan, SourceRecord } from '../compiler/plan.ts'
import { replayTopicOf } from '../compiler/topic-selector.ts'
import { referenceHeader } from '../engine/dead-letter.ts'
import { readReplay } from '../engine/replay.ts'
import type { BrokerAccess, Part } from './broker-access.ts'

/** `new`; `replayed`: it was sent back already; `failed again`: it came out of a replay. */
export type LetterState = 'new' | 'replayed' | 'failed again'

/** A message in a dead-letter topic, and what is known of its way there. */
export interface DeadLetter {
  /** `topic/partition/offset`. */
  readonly id: string
  /** Epoch milliseconds: when it was dead-lettered. */
  readonly timestamp: number
  readonly state: LetterState
  /** Undefined where somebody else wrote it. */
  readonly group: string | undefined
  readonly route: string | undefined
  readonly action: string | undefined
  readonly attempts: number
  readonly error: string
  readonly message: string
  /** The record it once was; undefined where its headers do not tell. */
  readonly original: SourceRecord | undefined
  /** Bytes of the message's value that it leaves out, since its topic did not take them; undefined where it is whole. */
  readonly leftOut: number | undefined
  readonly record: SourceRecord
}

export interface LetterFilter {
  readonly topics: readonly string[]
  /** A route's id, or its name. */
  readonly route: string | undefined
  /** Part of the error's type or message, without regard to case. */
  readonly error: string | undefined
  /** Epoch milliseconds. */
  readonly since: number | undefined
  readonly until: number | undefined
  /** Most newest records of each partition; undefined: all. */
  readonly last: number | undefined
}

/** Every dead-letter topic that exists: those that the routes name, and all that end with `.dlq`. */
export async function deadLetterTopics(access: BrokerAccess, plan: RoutingPlan): Promise<readonly string[]> {
  const named = plan.subscriptions.flatMap(({ deadLetter, routes, unmatched }) => {
    const all = unmatched.policy === 'actions' ? [...routes, unmatched.route] : routes
    return [deadLetter, ...all.flatMap(route => [route.deadLetter, ...route.actions.map(action => action.deadLetter)])]
  })
  const topics = new Set(named.flatMap(policy => (policy.kind === 'topic' && policy.topic !== undefined ? [policy.topic] : [])))
  return (await access.listTopics()).filter(topic => topics.has(topic) || topic.endsWith('.dlq')).toSorted()
}

/** Where letters are looked for, and how many records before them are not looked at. */
export interface LetterSearch {
  readonly parts: readonly Part[]
  readonly older: number
}

export async function planSearch(
  access: BrokerAccess,
  { topics, since, last }: Pick<LetterFilter, 'topics' | 'since' | 'last'>,
): Promise<LetterSearch> {
  const parts: Part[] = []
  let older = 0
  for (const topic of topics) {
    const starts = since === undefined ? [] : await access.offsetsSince(topic, since)
    for (const { partition, low, high } of await access.topicOffsets(topic)) {
      const first = Math.max(low, starts.find(each => each.partition === partition)?.offset ?? low)
      const start = last === undefined ? first : Math.max(first, high - last)
      older += start - first
      if (start < high) parts.push({ topic, partition, start, end: high })
    }
  }
  return { parts, older }
}

/** The letters that pass the filter, in the order of their topics, partitions and offsets; a page of them is worked on before the next is read. */
export async function readLetters(
  access: BrokerAccess,
  { parts }: LetterSearch,
  filter: LetterFilter,
  receive: (letters: readonly DeadLetter[], recordsRead: number) => Promise<void>,
): Promise<void> {
  const replayed = new ReplayedLetters(access)
  for (const part of parts)
    await access.read(part, async records => {
      await replayed.learn(records)
      const letters = records.map(record => readLetter(record, replayed)).filter(letter => passes(letter, filter))
      await receive(letters, records.length)
    })
}

/** The letters that are there of those named, where they lie. */
export async function readNamedLetters(access: BrokerAccess, places: readonly Omit<Part, 'end'>[]): Promise<readonly DeadLetter[]> {
  const records: SourceRecord[] = []
  for (const { topic, partition, start } of places) {
    const place = (await access.topicOffsets(topic)).find(each => each.partition === partition)
    if (place === undefined || start < place.low || start >= place.high) continue
    await access.read({ topic, partition, start, end: start + 1 }, async found => void records.push(...found))
  }
  const replayed = new ReplayedLetters(access)
  await replayed.learn(records)
  return records.map(record => readLetter(record, replayed))
}

/** A letter that only says where its message lies, with the message; undefined where that is gone. */
export async function withMessage(access: BrokerAccess, letter: DeadLetter): Promise<DeadLetter | undefined> {
  const { original, leftOut, record } = letter
  if (leftOut === undefined) return letter
  if (original === undefined) return undefined
  const { topic, partition, offset } = original
  const exists = (await access.listTopics()).includes(topic)
  const place = exists ? (await access.topicOffsets(topic)).find(each => each.partition === partition) : undefined
  if (place === undefined || offset < place.low || offset >= place.high) return undefined
  const found: SourceRecord[] = []
  await access.read({ topic, partition, start: offset, end: offset + 1 }, async records => void found.push(...records))
  // A topic of that name that was made anew has something else there.
  const message = found.find(each => each.offset === offset && each.timestamp === original.timestamp)
  if (message === undefined) return undefined
  const { key, value } = message
  const headers = Object.fromEntries(Object.entries(record.headers).filter(([name]) => name !== referenceHeader))
  return {
    ...letter,
    leftOut: undefined,
    original: message,
    record: { ...record, key, value, headers: { ...message.headers, ...headers } },
  }
}

/** What the topics of replays say was sent back already. */
class ReplayedLetters {
  readonly #access: BrokerAccess
  readonly #groups = new Set<string>()
  /** Offsets by `topic/partition`. */
  readonly #sent = new Map<string, Set<number>>()

  constructor(access: BrokerAccess) {
    this.#access = access
  }

  has({ topic, partition, offset }: SourceRecord): boolean {
    return this.#sent.get(`${topic}/${partition}`)?.has(offset) === true
  }

  /** Reads the replay topics of all groups that these come from. */
  async learn(records: readonly SourceRecord[]): Promise<void> {
    for (const { headers } of records) {
      const name = text(headers, group) ?? ''
      if (this.#groups.has(name)) continue
      this.#groups.add(name)
      const topic = replayTopicOf(name)
      if (topic === undefined || !(await this.#access.listTopics()).includes(topic)) continue
      const { parts } = await planSearch(this.#access, { topics: [topic], since: undefined, last: undefined })
      for (const part of parts)
        await this.#access.read(part, async replays => {
          for (const replay of replays) this.#add(replay.headers)
        })
    }
  }

  #add(headers: RecordHeaders): void {
    const [, place, offset] = /^(.+)\/(\d+)$/.exec(text(headers, 'signalbox-replay-of') ?? '') ?? []
    if (place === undefined) return
    const offsets = this.#sent.get(place) ?? new Set()
    this.#sent.set(place, offsets.add(Number(offset)))
  }
}

const group = 'kafka_dlt-original-consumer-group'

function readLetter(record: SourceRecord, replayed: ReplayedLetters): DeadLetter {
  const { topic, partition, offset, timestamp, headers } = record
  const id = `${topic}/${partition}/${offset}`
  const replay = readReplay(record)
  return {
    id,
    timestamp,
    state: replayed.has(record) ? 'replayed' : replaysOf(headers) > 0 ? 'failed again' : 'new',
    group: text(headers, group),
    route: text(headers, 'signalbox-route'),
    action: text(headers, 'signalbox-action'),
    attempts: Number(text(headers, 'signalbox-attempts') ?? 0),
    error: text(headers, 'kafka_dlt-exception-fqcn') ?? '',
    message: text(headers, 'kafka_dlt-exception-message') ?? '',
    original: typeof replay === 'object' ? replay.record : undefined,
    leftOut: Object.hasOwn(headers, referenceHeader) ? Number(text(headers, referenceHeader)) : undefined,
    record,
  }
}

export function passes(letter: DeadLetter, { route, error, since, until }: LetterFilter): boolean {
  const said = `${letter.error} ${letter.message}`.toLowerCase()
  return (
    (route === undefined || letter.route === route || letter.route?.endsWith(`/${route}`) === true) &&
    (error === undefined || said.includes(error.toLowerCase())) &&
    (since === undefined || letter.timestamp >= since) &&
    (until === undefined || letter.timestamp < until)
  )
}

/** How often a message was replayed before it came here. */
export function replaysOf(headers: RecordHeaders): number {
  const count = Number(text(headers, 'signalbox-replays') ?? 0)
  return Number.isSafeInteger(count) && count > 0 ? count : 0
}

function text(headers: RecordHeaders, name: string): string | undefined {
  const value = Object.hasOwn(headers, name) ? headers[name] : undefined
  const bytes = Buffer.isBuffer(value) ? value : value?.at(-1)
  return bytes?.toString('utf8')
}
