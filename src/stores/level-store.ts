import { randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import {
  type Claim,
  type ClaimAnswer,
  type Completion,
  type Holding,
  type IdempotencyStore,
  type Renewal,
  StoreError,
} from './idempotency-store.ts'
import { KnownKeys } from './known-keys.ts'
import { QuestionLane } from './question-lane.ts'
import { WorkInProgress } from './work-in-progress.ts'

export interface LevelStoreOptions {
  /** The project's folder for what the router keeps; the store has one of its own in it. */
  readonly folder: string
  /** Epoch milliseconds: what is completed outlives the process and its monotonic clock. */
  readonly now?: () => number
  /** How often keys that have run out are deleted, in ms. */
  readonly sweepMs?: number
}

/** Groups of expired keys that one sweep reads at a time. */
const sweepGroups = 4

/**
 * Few large files: a key that is not there is looked for in each of the youngest. What the buffer holds is read again after a kill, some
 * tenths of a second.
 */
const files = { writeBufferSize: 16 * 1_048_576, maxFileSize: 8 * 1_048_576 }

/**
 * Completed keys in LevelDB: `k<key>` holds when the key runs out and its check, `t<when>.<open>.<group>` lists the keys of a group that run out then.
 * They survive a kill of the process; writes are not forced to the disk, so that a power cut may lose the last ones, which then run again.
 * Claims live in memory: LevelDB belongs to one process, and nothing of a dead one is in progress.
 * Keys are looked up at once, those at least that it can have at all (see KnownKeys). Only writes are waited for, in groups.
 */
export class LevelStore implements IdempotencyStore {
  readonly #db: ClassicLevel
  readonly #working = new WorkInProgress(() => performance.now())
  readonly #known: KnownKeys
  readonly #now: () => number
  readonly #sweeper: NodeJS.Timeout
  readonly #writes = new QuestionLane<boolean, Completion>(completions => this.#writeGroup(completions))
  /** Tells the groups of this opening from those of others. */
  readonly #opening = randomUUID()
  #groups = 0
  /** Groups whose write is under way. */
  readonly #writing = new Set<readonly Completion[]>()
  /** While a sweep looks at keys: those that are written meanwhile. */
  #rewritten: Set<string> | undefined
  /** A sweep's deletions under way: a write that overtook them would be undone. */
  #deleting: Promise<void> | undefined
  #sweeping: Promise<void> = Promise.resolve()
  #closed = false

  private constructor(db: ClassicLevel, { now = Date.now, sweepMs = 60_000 }: LevelStoreOptions) {
    this.#db = db
    this.#now = now
    this.#known = new KnownKeys(db, 'k')
    this.#sweeper = setInterval(() => {
      this.#sweeping = this.#sweeping.then(() => this.sweep()).catch(() => {})
    }, sweepMs).unref()
  }

  /** Rejects with a StoreError that says what to do. */
  static async open(options: LevelStoreOptions): Promise<LevelStore> {
    const folder = join(options.folder, 'idempotency')
    const db = new ClassicLevel(folder, files)
    try {
      await mkdir(folder, { recursive: true })
      await db.open()
    } catch (error) {
      throw openError(folder, error)
    }
    return new LevelStore(db, options)
  }

  claim(claim: Claim): ClaimAnswer {
    const check = this.#completed(claim)
    if (check !== undefined) return { check }
    return this.#working.claim(claim) ? 'claimed' : 'busy'
  }

  renew(renewal: Renewal): boolean {
    return this.#completed(renewal) === undefined && this.#working.claim(renewal)
  }

  complete(completion: Completion): boolean | undefined {
    const holder = this.#working.holderOf(completion)
    // Nobody can have completed a key that the caller holds.
    if (holder !== 'caller') {
      if (this.#completed(completion) !== undefined) return true
      if (holder === 'other') return false
    }
    if (this.#closed) throw new StoreError('closed', 'the idempotency store is closed')
    this.#writes.add(completion)
    return undefined
  }

  release(holding: Holding): void {
    this.#working.release(holding)
  }

  /** The keys stay in progress until the write is through. */
  async #writeGroup(completions: readonly Completion[]): Promise<readonly true[]> {
    while (this.#deleting !== undefined) await this.#deleting.catch(() => {})
    const now = this.#now()
    this.#writing.add(completions)
    try {
      const batch = this.#db.batch()
      for (const [ttlMs, sameTtl] of byTtl(completions)) {
        const until = timeText(now + ttlMs)
        const keys = sameTtl.map(wholeKey)
        for (const [index, completion] of sameTtl.entries()) {
          batch.put(`k${keys[index]}`, until + completion.check)
          this.#known.add(completion)
          this.#rewritten?.add(wholeKey(completion))
        }
        batch.put(`t${until}.${this.#opening}.${this.#groups++}`, JSON.stringify(keys))
      }
      await batch.write()
    } catch (error) {
      throw unavailable(error)
    } finally {
      this.#writing.delete(completions)
    }
    for (const completion of completions) this.#working.release(completion)
    return completions.map(() => true)
  }

  /** Deletes what has run out. */
  async sweep(): Promise<void> {
    for (;;) {
      const groups = await this.#db.iterator({ gte: 't', lt: `t${timeText(this.#now())}`, limit: sweepGroups }).all()
      if (groups.length === 0) return
      await this.#delete(groups)
    }
  }

  async #delete(groups: readonly (readonly [entry: string, keys: string])[]): Promise<void> {
    const now = timeText(this.#now())
    const listed = groups.flatMap(([, keys]) => keysOf(keys))
    const rewritten = new Set<string>()
    for (const completions of this.#writing) for (const completion of completions) rewritten.add(wholeKey(completion))
    this.#rewritten = rewritten
    try {
      const held = await this.#db.getMany(listed.map(key => `k${key}`))
      const batch = this.#db.batch()
      for (const [entry] of groups) batch.del(entry)
      for (const [index, key] of listed.entries()) {
        // Completed again since: the key is in a later group.
        if (!rewritten.has(key) && (held[index] ?? '').slice(0, timeDigits) <= now) batch.del(`k${key}`)
      }
      this.#deleting = batch.write().finally(() => {
        this.#deleting = undefined
      })
    } finally {
      this.#rewritten = undefined
    }
    await this.#deleting
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#sweeper)
    await Promise.all([this.#writes.flush(), this.#sweeping, this.#known.close()])
    await this.#db.close()
  }

  /** The check of a key that is completed and has not run out. */
  #completed(holding: Holding): string | undefined {
    if (!this.#known.mayHave(holding)) return undefined
    let value: string | undefined
    try {
      value = this.#db.getSync(`k${wholeKey(holding)}`)
    } catch (error) {
      throw unavailable(error)
    }
    return value !== undefined && value.slice(0, timeDigits) > timeText(this.#now()) ? value.slice(timeDigits) : undefined
  }
}

function wholeKey({ scope, key }: Pick<Holding, 'scope' | 'key'>): string {
  return scope + key
}

/** Enough for every date that JavaScript knows. */
const timeDigits = 16

/** Nearly always all of them: routes mostly share one ttl. */
function byTtl(completions: readonly Completion[]): ReadonlyMap<number, readonly Completion[]> {
  const groups = new Map<number, Completion[]>()
  for (const completion of completions) {
    const group = groups.get(completion.ttlMs)
    if (group === undefined) groups.set(completion.ttlMs, [completion])
    else group.push(completion)
  }
  return groups
}

/** The keys that one group lists. */
function keysOf(text: string): readonly string[] {
  const keys: unknown = JSON.parse(text)
  return Array.isArray(keys) ? keys.filter(key => typeof key === 'string') : []
}

/** Texts that sort as the times do. */
function timeText(epochMs: number): string {
  return String(Math.max(0, Math.floor(epochMs))).padStart(timeDigits, '0')
}

function unavailable(error: unknown): StoreError {
  return new StoreError('unavailable', `the idempotency store cannot be read or written: ${messageOf(error)}`, { cause: error })
}

function openError(folder: string, error: unknown): StoreError {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  const isLocked = cause instanceof Error && 'code' in cause && cause.code === 'LEVEL_LOCKED'
  if (isLocked)
    return new StoreError('in-use', `the idempotency store ${folder} is used by another process`, {
      hint: 'stop the other router, give this one another `idempotency.path`, or share `store: redis`',
      cause: error,
    })
  return new StoreError('cannot-open', `the idempotency store ${folder} cannot be opened: ${messageOf(cause)}`, {
    hint: 'the folder must be writable; what it holds can be deleted: then duplicates of earlier messages run again',
    cause: error,
  })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
