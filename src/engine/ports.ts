import type { RecordHeaders } from '../compiler/plan.ts'

/** Time as the engine sees it: real in production, virtual in tests. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number
  /** Milliseconds that only go forward, with fractions, for durations. */
  monotonic(): number
  /** Calls back once after `ms`; the handle cancels. */
  schedule(ms: number, callback: () => void): Cancel
  /** Calls back once, after I/O that is ready has had its turn. */
  yield(callback: () => void): void
}

export type Cancel = () => void

/** What the engine says to people. Fields first, as pino takes them. */
export interface EngineLog {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** What the engine needs from outside to work on one subscription. */
export interface EnginePorts {
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: EngineLog
  /** Writes a dead letter; resolves when the broker has acknowledged it. */
  readonly writeDeadLetter: (record: DeadLetterRecord) => Promise<void>
}

export interface DeadLetterRecord {
  readonly topic: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: RecordHeaders
}

/** The side of a broker's consumer that the engine uses. */
export interface ConsumerPort {
  pause(partitions: readonly PartitionId[]): void
  resume(partitions: readonly PartitionId[]): void
  commit(offsets: readonly (PartitionId & { readonly offset: number })[]): Promise<void>
}

export interface PartitionId {
  readonly topic: string
  readonly partition: number
}
