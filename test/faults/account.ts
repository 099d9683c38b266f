import type { Handling } from './handler-log.ts'
import type { Sent } from './sender.ts'

/** Where acknowledged messages went. Invariant: acknowledged = handled + dead-lettered + lost. */
export interface Account {
  readonly acknowledged: number
  readonly lost: readonly string[]
  /** Handlings of records that had been handled before. */
  readonly duplicates: readonly { readonly first: Handling; readonly again: Handling }[]
  /** Records whose first handling came before that of an earlier record of their key. */
  readonly reordered: readonly Handling[]
  readonly deadLettered: number
}

/** Prints its result: `<name>: acknowledged 6000, lost 0, duplicated 12, reordered 0, dead-lettered 0`. */
export function account(
  name: string,
  acknowledged: readonly Sent[],
  handlings: readonly Handling[],
  deadLettered: ReadonlySet<string> = new Set(),
): Account {
  const first = new Map<string, Handling>()
  const handled = new Set<string>()
  const duplicates: { first: Handling; again: Handling }[] = []
  const reordered: Handling[] = []
  const furthest = new Map<string, number>()
  for (const handling of handlings) {
    if (handling.phase !== 'end') continue
    handled.add(handling.id)
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
  const lost = acknowledged.filter(({ id }) => !handled.has(id) && !deadLettered.has(id)).map(({ id }) => id)
  const result = { acknowledged: acknowledged.length, lost, duplicates, reordered, deadLettered: deadLettered.size }
  const figures = `lost ${lost.length}, duplicated ${duplicates.length}, reordered ${reordered.length}, dead-lettered ${deadLettered.size}`
  console.info(`${name}: acknowledged ${acknowledged.length}, ${figures}`)
  return result
}
