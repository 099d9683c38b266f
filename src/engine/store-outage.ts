import { type Execution, errorCause } from './execution.ts'

/** One route of one message that waits because the idempotency store does not answer. Said once for all of a subscription. */
export class StoreOutage {
  readonly #execution: Execution
  readonly #route: string
  #isBlocked = false

  constructor(execution: Execution, route: string) {
    this.#execution = execution
    this.#route = route
  }

  failed(error: unknown): void {
    const { counters, ports } = this.#execution
    counters.storeFailures++
    if (this.begin())
      ports.log.error(
        { route: this.#route, error: errorCause(error).message },
        'the idempotency store does not answer: routes with `idempotency` wait for it',
      )
  }

  /** It waits, without having asked. True: it is the first one that does. */
  begin(): boolean {
    if (this.#isBlocked) return false
    this.#isBlocked = true
    return this.#execution.counters.waitingForStore++ === 0
  }

  answered(): void {
    if (!this.#isBlocked) return
    this.end()
    if (this.#execution.counters.waitingForStore === 0) this.#execution.ports.log.info({}, 'the idempotency store answers again')
  }

  /** It does not wait any more, whatever the store does. */
  end(): void {
    if (!this.#isBlocked) return
    this.#isBlocked = false
    this.#execution.counters.waitingForStore--
  }
}
