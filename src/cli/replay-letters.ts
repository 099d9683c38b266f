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

export interface ReplayPlan {
  readonly chosen: readonly Replayable[]
  /** The rest, each with the reason in a few words. */
  readonly left: readonly { readonly letter: DeadLetter; readonly why: string }[]
}

export function planReplay(letters: readonly DeadLetter[], choice: ReplayChoice): ReplayPlan {
  const chosen: Replayable[] = []
  const left: { letter: DeadLetter; why: string }[] = []
  for (const letter of letters) {
    const target = targetOf(letter, choice)
    if (typeof target === 'string') left.push({ letter, why: target })
    else chosen.push(target)
  }
  return { chosen: chosen.toSorted(byOrigin), left }
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

/** Sends them; `onSent` gets how many are written. Answers with those whose messages are gone. Rejects with BrokerError: those before may be written. */
export async function sendReplays(
  access: BrokerAccess,
  chosen: readonly Replayable[],
  onSent: (count: number) => void,
): Promise<ReplayPlan['left']> {
  const likes = new Map(chosen.map(({ replayTopic, letter }) => [replayTopic, letter.original?.topic ?? replayTopic]))
  for (const [topic, like] of likes) await access.ensureTopic(topic, like)
  const left: { letter: DeadLetter; why: string }[] = []
  for (let at = 0; at < chosen.length; ) {
    const some = nextGroup(chosen, at)
    const [first] = some
    const whole = first?.letter.leftOut === undefined ? some : await fetched(access, first)
    if (whole.length > 0) await Promise.all(whole.map(each => send(access, each)))
    else if (first !== undefined) left.push({ letter: first.letter, why: `it is only a reference, and ${lies(first)} is gone` })
    at += some.length
    onSent(at)
  }
  return left
}

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
