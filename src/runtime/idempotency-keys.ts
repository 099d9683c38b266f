import { randomBytes } from 'node:crypto'
import type { RoutingPlan } from '../compiler/plan.ts'
import type { IdempotencyConfig } from '../config/router-config.ts'
import { routerFileName } from '../config/router-file-name.ts'
import type { Problem } from '../diagnostics/problem.ts'
import type { EngineLog, IdempotencyPort } from '../engine/ports.ts'
import { type Claim, type Completion, type Holding, type IdempotencyStore, type Renewal, StoreError } from '../stores/idempotency-store.ts'
import { openStore } from '../stores/registry.ts'
import { StartError } from './start-error.ts'

export interface IdempotencyKeysOptions {
  readonly config: IdempotencyConfig
  /** The project's folder. */
  readonly root: string
  readonly log: EngineLog
}

/** The store of router.yaml's `idempotency`, opened once a route needs it. */
export class IdempotencyKeys implements IdempotencyPort {
  readonly #options: IdempotencyKeysOptions
  /** 96 random bits: short, since every question to a shared store has it. */
  readonly #process = randomBytes(12).toString('base64url')
  #claims = 0
  #store: IdempotencyStore | undefined

  private constructor(options: IdempotencyKeysOptions) {
    this.#options = options
  }

  /** Rejects with StartError where the plan needs a store that cannot be opened. */
  static async open(options: IdempotencyKeysOptions, plan: RoutingPlan): Promise<IdempotencyKeys> {
    const keys = new IdempotencyKeys(options)
    try {
      await keys.#openFor(plan)
      return keys
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      throw new StartError('store', error.message, { cause: error, ...(error.hint === undefined ? {} : { hint: error.hint }) })
    }
  }

  /** What keeps an edit from being taken over: it needs a store that cannot be opened. */
  async openForReload(plan: RoutingPlan): Promise<Problem | undefined> {
    try {
      await this.#openFor(plan)
      return undefined
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      const { message, hint } = error
      return { code: 'idempotency-store', severity: 'error', file: routerFileName, message, ...(hint === undefined ? {} : { hint }) }
    }
  }

  get leaseMs(): number {
    return this.#options.config.leaseMs
  }

  /** Some route of this process has keys, and no other process knows them. */
  get isUnshared(): boolean {
    return this.#store !== undefined && this.#options.config.store !== 'redis'
  }

  async #openFor(plan: RoutingPlan): Promise<void> {
    if (this.#store !== undefined || !plan.subscriptions.some(({ routes }) => routes.some(route => route.idempotency !== undefined))) return
    const { config, root, log } = this.#options
    this.#store = await openStore(config, root, log)
    log.info({ store: config.store }, 'the idempotency store is open')
  }

  async close(): Promise<void> {
    await this.#store?.close()
  }

  nextOwner(): string {
    return `${this.#process}.${++this.#claims}`
  }

  claim(claim: Claim) {
    return this.#opened().claim(claim)
  }

  renew(renewal: Renewal) {
    return this.#opened().renew(renewal)
  }

  complete(completion: Completion) {
    return this.#opened().complete(completion)
  }

  release(holding: Holding): void {
    this.#opened().release(holding)
  }

  #opened(): IdempotencyStore {
    if (this.#store === undefined) throw new StoreError('closed', 'the idempotency store is not open')
    return this.#store
  }
}
