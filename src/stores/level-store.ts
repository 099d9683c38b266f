import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { type Claim, type ClaimAnswer, type Completion, type GroupedBackend, type Holding, StoreError } from './idempotency-store.ts'
import { WorkInProgress } from './work-in-progress.ts'

export interface LevelStoreOptions {
  /** The project's folder for what the router keeps; the store has one of its own in it. */
  readonly folder: string
  /** Epoch milliseconds: what is completed outlives the process and its monotonic clock. */
  readonly now?: () => number
  /** How often keys that have run out are deleted, in ms. */
  readonly sweepMs?: number
}

/** Expired keys that one sweep reads at a time. */
const sweepBatch = 1_000

/**
 * Completed keys in LevelDB: `k<key>` holds when the key runs out and its check, `t<when><key>` finds those that have run out. They
 * survive a kill of the process; writes are not forced to the disk, so that a power cut may lose the last ones, which then run again.
 * Claims live in memory: LevelDB belongs to one process, and nothing of a dead one is in progress.
 */
export class LevelStore implements GroupedBackend {
  readonly #db: ClassicLevel
  readonly #working = new WorkInProgress(() => performance.now())
  readonly #now: () => number
  readonly #sweeper: NodeJS.Timeout
  #sweeping: Promise<void> = Promise.resolve()

  private constructor(db: ClassicLevel, { now = Date.now, sweepMs = 60_000 }: LevelStoreOptions) {
    this.#db = db
    this.#now = now
    this.#sweeper = setInterval(() => {
      this.#sweeping = this.sweep().catch(() => {})
    }, sweepMs).unref()
  }

  /** Rejects with a StoreError that says what to do. */
  static async open(options: LevelStoreOptions): Promise<LevelStore> {
    const folder = join(options.folder, 'idempotency')
    const db = new ClassicLevel(folder)
    try {
      await mkdir(folder, { recursive: true })
      await db.open()
    } catch (error) {
      throw openError(folder, error)
    }
    return new LevelStore(db, options)
  }

  async claim(claims: readonly Claim[]): Promise<readonly ClaimAnswer[]> {
    // Claimed first: two questions for one key in one group must not both find it free.
    const taken = claims.map(claim => this.#working.claim(claim))
    try {
      const completed = await this.#completed(claims)
      return claims.map((claim, index) => {
        const check = completed[index]
        if (check === undefined) return taken[index] === true ? 'claimed' : 'busy'
        this.#working.release(claim)
        return { check }
      })
    } catch (error) {
      for (const claim of claims) this.#working.release(claim)
      throw error
    }
  }

  async renew(claims: readonly Claim[]): Promise<readonly boolean[]> {
    const completed = await this.#completed(claims)
    return claims.map((claim, index) => completed[index] === undefined && this.#working.claim(claim))
  }

  async complete(completions: readonly Completion[]): Promise<readonly boolean[]> {
    const completed = await this.#completed(completions)
    const answers = completions.map((completion, index) => completed[index] !== undefined || !this.#working.isHeldByOther(completion))
    const stored = completions.filter((_, index) => answers[index] === true && completed[index] === undefined)
    await asked(
      this.#db.batch(
        stored.flatMap(({ key, ttlMs, check }) => {
          const until = timeText(this.#now() + ttlMs)
          return [
            { type: 'put' as const, key: `k${key}`, value: `${until}${check}` },
            { type: 'put' as const, key: `t${until}${key}`, value: '' },
          ]
        }),
      ),
    )
    for (const { key } of stored) this.#working.forget(key)
    return answers
  }

  async release(holdings: readonly Holding[]): Promise<readonly unknown[]> {
    for (const holding of holdings) this.#working.release(holding)
    return holdings.map(() => true)
  }

  /** Deletes what has run out. */
  async sweep(): Promise<void> {
    for (;;) {
      const now = timeText(this.#now())
      const expired = await this.#db.keys({ gte: 't', lt: `t${now}`, limit: sweepBatch }).all()
      if (expired.length === 0) return
      const held = await this.#db.getMany(expired.map(entry => `k${entry.slice(1 + timeDigits)}`))
      await this.#db.batch(
        expired.flatMap((entry, index) => [
          { type: 'del' as const, key: entry },
          // Completed again since: the key has a later entry.
          ...((held[index] ?? '').slice(0, timeDigits) <= now ? [{ type: 'del' as const, key: `k${entry.slice(1 + timeDigits)}` }] : []),
        ]),
      )
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper)
    await this.#sweeping
    await this.#db.close()
  }

  /** The checks of those that are completed and have not run out. */
  async #completed(holdings: readonly Holding[]): Promise<readonly (string | undefined)[]> {
    const found = await asked(this.#db.getMany(holdings.map(({ key }) => `k${key}`)))
    const now = timeText(this.#now())
    return found.map(value => (value !== undefined && value.slice(0, timeDigits) > now ? value.slice(timeDigits) : undefined))
  }
}

/** Enough for every date that JavaScript knows. */
const timeDigits = 16

/** Texts that sort as the times do. */
function timeText(epochMs: number): string {
  return String(Math.max(0, Math.floor(epochMs))).padStart(timeDigits, '0')
}

async function asked<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    throw new StoreError('unavailable', `the idempotency store cannot be read or written: ${messageOf(error)}`, { cause: error })
  }
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
