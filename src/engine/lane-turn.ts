import type { ActionPlan } from '../compiler/plan.ts'
import type { Settlement } from './execution.ts'

/** What became of a message in a call that it shared: its outcome is its `own`, or an earlier one of its key failed and it runs `again` after that. */
export type Fate = 'own' | 'again' | 'released'

/**
 * The place of a message among those of its lane that are at work. There are several only where the first thing they do is to go into the same
 * batch: a message joins it right after the one before it, and goes on with what comes after only when that one is through with everything.
 */
export class LaneTurn {
  /** The batch action that is the first thing the message does. */
  heading: ActionPlan | undefined
  /** `coming`: not in a call: on its way, or waiting in a batch. `through`: it will not be called again. */
  #standing: 'coming' | 'called' | 'through' = 'coming'
  #batch: object | undefined
  #before: LaneTurn | undefined
  #behind: LaneTurn | undefined
  #end: Settlement | undefined
  #resume: (() => void) | undefined

  constructor(last: LaneTurn | undefined) {
    const before = last?.remaining
    this.#before = before
    if (before !== undefined) before.#behind = this
  }

  /** Messages before it are at work. */
  get follows(): boolean {
    return this.#before !== undefined
  }

  /** Messages behind it may still come into the same batch. */
  get isGathering(): boolean {
    return this.heading !== undefined && this.#standing === 'coming' && this.#end === undefined
  }

  /** The message may start although others are at work. */
  mayGoTo(heading: ActionPlan | undefined): boolean {
    return this.#before === undefined || (heading !== undefined && this.#before.heading === heading)
  }

  /** The last one that is at work: this one or one before it. */
  get remaining(): LaneTurn | undefined {
    let turn: LaneTurn | undefined = this
    while (turn !== undefined && turn.#end === 'settled') turn = turn.#before
    return turn
  }

  /** `wait`: ask again after `changed`. */
  get entry(): 'first' | 'behind' | 'wait' | 'released' {
    const before = this.#before
    if (before === undefined) return 'first'
    if (before.#end === 'released') return 'released'
    return before.#standing === 'coming' && before.#batch !== undefined ? 'behind' : 'wait'
  }

  /** Resolves when the message before it has moved. */
  changed(): Promise<void> {
    return new Promise(resolve => {
      this.#resume = resolve
    })
  }

  joined(batch: object): void {
    this.#batch = batch
    this.#standing = 'coming'
    this.#tell()
  }

  /** False where the message before it is not in the call. */
  called(): boolean {
    const before = this.#before
    if (before !== undefined && (before.#batch !== this.#batch || before.#standing !== 'called')) return false
    this.#standing = 'called'
    return true
  }

  /** It has to be called again, or for the first time. */
  again(): void {
    this.#batch = undefined
    this.#standing = 'coming'
    this.#tell()
  }

  through(): void {
    this.#standing = 'through'
    this.#tell()
  }

  /** After a call: waits until it is known what became of the message before it. */
  async fateIn(batch: object): Promise<Fate> {
    for (;;) {
      const before = this.#before
      if (before === undefined || before.#standing === 'through') return 'own'
      if (before.#end === 'released') return 'released'
      if (before.#batch !== batch || before.#standing !== 'called') return 'again'
      await this.changed()
    }
  }

  /** Waits until every message before it has ended. False: one was released. */
  async untilFirst(): Promise<boolean> {
    while (this.#before !== undefined) {
      if (this.#before.#end === 'released') return false
      await this.changed()
    }
    return true
  }

  /** Its actions have ended. Idempotent. */
  leave(settlement: Settlement): void {
    if (this.#end !== undefined) return
    this.#end = settlement
    if (settlement === 'settled') {
      if (this.#before !== undefined) this.#before.#behind = this.#behind
      if (this.#behind !== undefined) this.#behind.#before = this.#before
    }
    this.#tell()
  }

  #tell(): void {
    const behind = this.#behind
    if (behind === undefined) return
    const resume = behind.#resume
    behind.#resume = undefined
    resume?.()
  }
}
