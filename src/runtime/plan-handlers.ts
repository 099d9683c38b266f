import type { HandlerPort } from '../actions/ports.ts'
import { HandlerModules } from './handler-modules.ts'

/**
 * Handlers as one plan finds them, looked up at each attempt: the newest code, so that a retry takes up an edit; and what an edit took away, a message of
 * this plan still finds in the modules that were loaded with it.
 */
export class PlanHandlers implements HandlerPort {
  readonly #newest: () => HandlerModules | undefined
  #own = HandlerModules.none

  constructor(newest: () => HandlerModules | undefined) {
    this.#newest = newest
  }

  /** The modules that were loaded with the plan. */
  loaded(own: HandlerModules): void {
    this.#own = own
  }

  get(module: string, exportName: string) {
    return this.#newest()?.get(module, exportName) ?? this.#own.get(module, exportName)
  }

  getBatch(module: string, exportName: string) {
    return this.#newest()?.getBatch(module, exportName) ?? this.#own.getBatch(module, exportName)
  }
}
