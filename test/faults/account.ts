import type { DeadLetter } from './dead-letters.ts'
import type { Handling } from './handler-log.ts'
import type { Output } from './outputs.ts'
import type { Sent } from './sender.ts'

/** Everything that is left of what was sent. */
export interface Evidence {
  readonly sent: readonly Sent[]
  readonly handlings: readonly Handling[]
  readonly letters: readonly DeadLetter[]
  readonly outputs: readonly Output[]
  /** The route emits before its handler, too. */
  readonly begins: boolean
  /** Records that the group's committed offsets have not passed. */
  readonly uncommitted: number
}

/** Where acknowledged messages went. Invariant: acknowledged = done + dead-lettered + filtered. */
export interface Account {
  readonly acknowledged: number
  readonly done: number
  readonly deadLettered: number
  readonly filtered: number
  readonly lost: readonly string[]
  /** Ends that are not as they should be, and what belongs to no message. */
  readonly wrong: readonly string[]
  /** Handlings of records that had been handled before. */
  readonly duplicates: readonly Duplicate[]
  /** Records whose first handling came before that of an earlier record of their key. */
  readonly reordered: readonly Handling[]
  /** From the last action of each message. */
  readonly outputs: number
  /** Messages with more outputs than handlings, or more dead letters than one. */
  readonly repeated: readonly string[]
  /** Messages whose first action was done again without their handler coming to its end again. */
  readonly begunAgain: readonly string[]
}

export interface Duplicate {
  readonly first: Handling
  readonly again: Handling
}

type End = 'done' | 'dead-lettered' | 'filtered' | 'lost'

/** What was found of one message. */
interface Traces {
  /** Handlings that came to their end. */
  readonly runs: number
  readonly begun: number
  readonly done: number
  readonly letters: readonly DeadLetter[]
}

export function account({ sent, handlings, letters, outputs, begins, uncommitted }: Evidence): Account {
  const runs = grouped(
    handlings.filter(({ phase }) => phase === 'end'),
    ({ id }) => id,
  )
  const outputsOf = (name: string) =>
    grouped(
      outputs.filter(({ event }) => event === name),
      ({ of }) => of,
    )
  const [begun, done, lettersOf] = [outputsOf('begun'), outputsOf('done'), grouped(letters, ({ of }) => of)]
  const known = new Set(sent.map(({ id }) => id))
  const strangers = [...runs.keys(), ...begun.keys(), ...done.keys(), ...lettersOf.keys()].filter(id => !known.has(id))
  const ids: Record<End, string[]> = { done: [], 'dead-lettered': [], filtered: [], lost: [] }
  const wrong = strangers.map(id => `${id} was not sent`)
  const repeated: string[] = []
  const begunAgain: string[] = []
  for (const message of sent) {
    const { id } = message
    const sizeOf = (found: ReadonlyMap<string, readonly unknown[]>) => found.get(id)?.length ?? 0
    const traces: Traces = { runs: sizeOf(runs), begun: sizeOf(begun), done: sizeOf(done), letters: lettersOf.get(id) ?? [] }
    const end = endOf(message, traces, uncommitted)
    ids[end].push(id)
    if (end === 'lost') continue
    for (const fault of faultsOf(message, traces, end, begins)) wrong.push(`${id}: ${fault}`)
    if (traces.done > traces.runs) repeated.push(`${id}: ${traces.done} outputs of ${traces.runs} handlings`)
    if (traces.begun > Math.max(traces.runs, 1)) begunAgain.push(id)
    if (traces.letters.length > 1) repeated.push(`${id}: ${traces.letters.length} dead letters`)
  }
  return {
    acknowledged: sent.length,
    done: ids.done.length,
    deadLettered: ids['dead-lettered'].length,
    filtered: ids.filtered.length,
    lost: ids.lost,
    wrong,
    ...orderOf(handlings),
    outputs: [...done.values()].reduce((sum, { length }) => sum + length, 0),
    repeated,
    begunAgain,
  }
}

function endOf({ fate }: Sent, { runs, begun, done, letters }: Traces, uncommitted: number): End {
  if (letters.length > 0) return 'dead-lettered'
  if (runs > 0 && done > 0) return 'done'
  // That nothing is left of it is right only once its offset was passed.
  return fate === 'filtered' && runs + begun + done === 0 && uncommitted === 0 ? 'filtered' : 'lost'
}

function faultsOf(message: Sent, { runs, begun, done, letters }: Traces, end: End, begins: boolean): readonly string[] {
  const { fate } = message
  const due: End = fate === 'refused' || fate === 'failed' ? 'dead-lettered' : fate
  const isBegun = begins && (fate === 'done' || fate === 'failed')
  return [
    ...(end === due ? [] : [`${end}, not ${due}`]),
    ...(end === 'dead-lettered' && runs + done > 0 ? ['dead-lettered and done'] : []),
    ...(begun > 0 === isBegun ? [] : [isBegun ? 'without the output of its first action' : 'with an output of a first action']),
    ...(letters.every(letter => isLetterOf(letter, message)) ? [] : ['a dead letter with another key or value']),
  ]
}

/** `acknowledged 6000, lost 0, duplicated 12, reordered 0, dead-lettered 0, filtered 120, outputs 5880`, and what else there is. */
export function figures({ acknowledged, lost, duplicates, reordered, deadLettered, filtered, outputs, repeated, wrong }: Account): string {
  const ways = `lost ${lost.length}, duplicated ${duplicates.length}, reordered ${reordered.length}, dead-lettered ${deadLettered}, filtered ${filtered}`
  return `acknowledged ${acknowledged}, ${ways}, outputs ${outputs}, repeated ${repeated.length}, wrong ${wrong.length}`
}

function orderOf(handlings: readonly Handling[]): Pick<Account, 'duplicates' | 'reordered'> {
  const first = new Map<string, Handling>()
  const duplicates: Duplicate[] = []
  const reordered: Handling[] = []
  const furthest = new Map<string, number>()
  for (const handling of handlings) {
    if (handling.phase !== 'end') continue
    // A producer that sent a record again has made a second record of it: handling both is right.
    const record = `${handling.partition}/${handling.offset}`
    const earlier = first.get(record)
    if (earlier !== undefined) {
      duplicates.push({ first: earlier, again: handling })
      continue
    }
    first.set(record, handling)
    if (handling.offset < (furthest.get(handling.key) ?? -1)) reordered.push(handling)
    else furthest.set(handling.key, handling.offset)
  }
  return { duplicates, reordered }
}

function isLetterOf({ key, value }: DeadLetter, sent: Sent): boolean {
  return key === sent.key && (value === null || sent.value === null ? value === sent.value : value.equals(sent.value))
}

function grouped<T>(items: readonly T[], keyOf: (item: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group === undefined) groups.set(keyOf(item), [item])
    else group.push(item)
  }
  return groups
}
