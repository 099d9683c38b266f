/**
 * What is done of a partition from its committed offset on. A broker keeps one offset a partition, so that a message which waits holds back all that
 * is done above it; written beside the offset, as its metadata, what is done there need not run again.
 */
export interface DoneAhead {
  /** The committed offset. */
  readonly offset: number
  /** Ascending, none below `offset`: everything is done from each even one on, up to the odd one after it. */
  readonly bounds: readonly number[]
}

/** Says whose it is, and how it is written. */
const mark = 'signalbox:1:'

/** Kafka takes 4,096 bytes unless told otherwise (`offset.metadata.max.bytes`). */
const longestMetadata = 4_000

/**
 * The committed offset and the lengths of the runs above it, of what is open and what is done by turns, as varints. `told`: what of it found
 * room, the lowest offsets first. Undefined where that is nothing.
 */
export function writeDoneAhead({ offset, bounds }: DoneAhead): { readonly metadata: string; readonly told: DoneAhead } | undefined {
  const head = headOf(offset)
  const room = Math.floor(((longestMetadata - head.length) * 3) / 4)
  const bytes: number[] = []
  let at = offset
  let told = 0
  while (told + 1 < bounds.length) {
    const [start = at, end = at] = bounds.slice(told, told + 2)
    const before = bytes.length
    writeVarint(bytes, start - at)
    writeVarint(bytes, end - start)
    if (bytes.length > room) {
      bytes.length = before
      break
    }
    at = end
    told += 2
  }
  if (told === 0) return undefined
  return { metadata: head + Buffer.from(bytes).toString('base64url'), told: { offset, bounds: bounds.slice(0, told) } }
}

/** Undefined for everything that was not written for just this offset: then nothing is known, and all of it runs. */
export function readDoneAhead(metadata: string | undefined, offset: number): DoneAhead | undefined {
  const head = headOf(offset)
  if (metadata?.startsWith(head) !== true) return undefined
  const text = metadata.slice(head.length)
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.toString('base64url') !== text) return undefined
  const lengths = readVarints(bytes)
  if (lengths === undefined || lengths.length === 0 || lengths.length % 2 === 1) return undefined
  const bounds: number[] = []
  let at = offset
  for (const length of lengths) {
    // Only the first may be done from the committed offset on.
    if (length === 0 && bounds.length > 0) return undefined
    at += length
    if (!Number.isSafeInteger(at)) return undefined
    bounds.push(at)
  }
  return { offset, bounds }
}

export function isDone(bounds: readonly number[], offset: number): boolean {
  let low = 0
  let high = bounds.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((bounds[middle] ?? 0) <= offset) low = middle + 1
    else high = middle
  }
  return low % 2 === 1
}

/** How many offsets are done from `from` on, up to `to`. */
export function countDone(bounds: readonly number[], from: number, to: number): number {
  let count = 0
  for (let index = 0; index + 1 < bounds.length; index += 2)
    count += Math.max(0, Math.min(bounds[index + 1] ?? 0, to) - Math.max(bounds[index] ?? 0, from))
  return count
}

function headOf(offset: number): string {
  return `${mark}${offset}:`
}

function writeVarint(bytes: number[], value: number): void {
  let rest = value
  while (rest >= 128) {
    bytes.push((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  bytes.push(rest)
}

/** Undefined where they are cut off, longer than they need be, or too large. */
function readVarints(bytes: Buffer): readonly number[] | undefined {
  const values: number[] = []
  let value = 0
  let unit = 1
  for (const byte of bytes) {
    value += (byte % 128) * unit
    if (!Number.isSafeInteger(value)) return undefined
    if (byte >= 128) {
      unit *= 128
      continue
    }
    if (byte === 0 && unit > 1) return undefined
    values.push(value)
    value = 0
    unit = 1
  }
  return unit === 1 ? values : undefined
}
