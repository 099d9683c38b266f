import type { RecordHeaders } from '../compiler/plan.ts'
import type { EngineObserver } from './observer.ts'

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
  /** Where routes with `idempotency` keep their keys; undefined where no route has it. */
  readonly idempotency?: IdempotencyPort | undefined
  /** Undefined: nobody looks on. */
  readonly observer?: EngineObserver | undefined
  /** Writes a dead letter; resolves when the broker has acknowledged it. */
  readonly writeDeadLetter: (record: DeadLetterRecord) => Promise<void>
  /** Writes a message to a retry topic of the group; resolves when the broker has acknowledged it. */
  readonly writeRetry: (record: DeadLetterRecord) => Promise<void>
}

/** `claimed`: ours, also where it was already. `busy`: somebody else works on the key. A map: it is completed. */
export type ClaimAnswer = 'claimed' | 'busy' | { readonly check: string }

export interface KeyHolding {
  /** What the key belongs to; only both together tell it from others. */
  readonly scope: string
  readonly key: string
  readonly owner: string
}

/** A question to the store: it is told itself what was not answered at once, by one of the two, once, never before the question has returned. */
export interface KeyQuestion<Answer> extends KeyHolding {
  answered(answer: Answer): void
  /** What was asked for may have happened all the same. */
  failed(error: unknown): void
}

export type ClaimQuestion = KeyQuestion<ClaimAnswer> & { readonly leaseMs: number }
export type RenewalQuestion = KeyQuestion<boolean> & { readonly leaseMs: number }
export type CompletionQuestion = KeyQuestion<boolean> & { readonly ttlMs: number; readonly check: string }

/**
 * The side of an idempotency store that the engine uses. What needs no waiting is answered at once; undefined: the question is told later, within
 * the store's own time-out. What cannot be asked at all is thrown.
 */
export interface IdempotencyPort {
  /** How long a claim holds without being renewed, in ms. */
  readonly leaseMs: number
  /** A token that nobody else has ever had, in no process. */
  nextOwner(): string
  claim(question: ClaimQuestion): ClaimAnswer | undefined
  /** False: somebody else has the key, or has completed it. */
  renew(question: RenewalQuestion): boolean | undefined
  /** False: somebody else works on the key. */
  complete(question: CompletionQuestion): boolean | undefined
  /** Best effort: a claim that is not released ends with its lease. Never throws. */
  release(holding: KeyHolding): void
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
  /** `metadata` is kept beside the offset until the next commit. */
  commit(offsets: readonly (PartitionId & { readonly offset: number; readonly metadata?: string | undefined })[]): Promise<void>
}

/** A partition as it comes here, with what was committed for it. */
export interface AssignedPartition extends PartitionId {
  readonly offset?: number
  readonly metadata?: string | undefined
}

export interface PartitionId {
  readonly topic: string
  readonly partition: number
}
