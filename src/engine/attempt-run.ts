import type { Attempt, RoutePlan, SourceRecord } from '../compiler/plan.ts'
import { identityOf, type MessageScope } from './message-scope.ts'

/** One try of one action. What costs (the signal, the identity) is made when an action asks for it. */
export class AttemptRun implements Attempt {
  readonly number: number
  readonly route: RoutePlan
  readonly position: number
  readonly element: number | undefined
  readonly broker: string
  readonly #scope: MessageScope
  #controller: AbortController | undefined

  constructor(scope: MessageScope, route: RoutePlan, position: number, element: number | undefined, number: number, broker: string) {
    this.#scope = scope
    this.route = route
    this.position = position
    this.element = element
    this.number = number
    this.broker = broker
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  get identity(): string {
    return identityOf(this.#scope)
  }

  get origin(): string {
    const { topic, partition, offset, timestamp } = this.#scope
    // The time tells records of a topic that was deleted and made anew from those before.
    const origin = `${this.broker}:${topic}:${partition}:${offset}:${timestamp}:${this.route.id}:${this.position}`
    return this.element === undefined ? origin : `${origin}:${this.element}`
  }

  get record(): SourceRecord {
    return this.#scope.record
  }

  abort(reason: Error): void {
    this.#controller ??= new AbortController()
    this.#controller.abort(reason)
  }
}

/** An attempt took longer than its `timeout`. Tried again like any other failure. */
export class AttemptTimeout extends Error {
  override readonly name = 'AttemptTimeout'
  constructor(timeoutMs: number) {
    super(`no result within ${timeoutMs} ms`)
  }
}

/** The partition was revoked or the router stopped while the attempt ran: its outcome no longer counts. */
export class AttemptReleased extends Error {
  override readonly name = 'AttemptReleased'
  constructor() {
    super('the partition was revoked or the router is stopping')
  }
}

/** True for failures that trying again cannot mend: a handler's `PermanentError`, template errors, refused input. */
export function isPermanent(error: unknown): boolean {
  return error instanceof Error && (error.name === 'PermanentError' || ('permanent' in error && error.permanent === true))
}
