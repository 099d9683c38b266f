import type { Assignment } from './assignment.ts'
import type { Places } from './places.ts'
import type { Cancel } from './ports.ts'

/**
 * What stands for one message among the places: its routes, or the messages of its lane that share batches. It holds one place for as long as any of
 * them is at work, and none while all that is left of them waits: for a retry, an open breaker, a lease elsewhere, or the store.
 */
export class Seat {
  readonly #places: Places
  /** Routes and messages that are not away. */
  #present = 0
  /** Of those: how many wait for an earlier message of their lane. */
  #behind = 0
  #away = 0
  #hasPlace = false
  /** Of those away: what is to be told when there is a place. */
  #waiting: Set<() => void> | undefined

  constructor(places: Places) {
    this.#places = places
  }

  /** One more is at work. Whoever starts a message has seen that a place is free. */
  join(): void {
    this.#present++
    this.#take()
  }

  /** One has ended. */
  leave(): void {
    this.#present--
    this.#yieldPlace()
  }

  /** One waits until `comeBack`, or `tryBack` and `whenPlaced`. */
  goAway(): void {
    this.#present--
    this.#away++
    this.#yieldPlace()
  }

  /** Back from a wait, with a place if one can be had at once. */
  tryBack(): boolean {
    if (!this.#hasPlace && !this.#places.tryTake()) return false
    this.#hasPlace = true
    this.#away--
    this.#present++
    return true
  }

  /** Calls back once when it is back with a place. What it answers ends the wait without one. */
  whenPlaced(back: () => void): Cancel {
    this.#waiting ??= new Set()
    this.#waiting.add(back)
    this.#places.queue(this)
    return () => {
      this.#waiting?.delete(back)
      if (this.#waiting?.size === 0) this.#places.unqueue(this)
    }
  }

  /** Back only to end: whether there is a place does not matter. */
  comeBack(): void {
    this.#away--
    this.join()
  }

  /** Its turn has come: it has a place now. */
  placed(): void {
    this.#hasPlace = true
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting === undefined) return
    this.#away -= waiting.size
    this.#present += waiting.size
    for (const back of waiting) back()
  }

  /** Back with a place as soon as there is one. False: the partition is leaving. */
  async untilBack(assignment: Assignment): Promise<boolean> {
    if (this.tryBack()) return true
    if (await assignment.pause(resume => this.whenPlaced(resume))) return true
    this.comeBack()
    return false
  }

  /** Waits away from the place. False where `wait` says so, or the partition is leaving. */
  async awayFor(assignment: Assignment, wait: () => Promise<boolean>): Promise<boolean> {
    this.goAway()
    if (await wait()) return this.untilBack(assignment)
    this.comeBack()
    return false
  }

  /** Waits for an earlier message of the lane. The place stays with those of the lane that are at work, if there are any. */
  async behind<Answer>(assignment: Assignment, wait: () => Promise<Answer>): Promise<Answer | 'released'> {
    this.#behind++
    this.#yieldPlace()
    const answer = await wait()
    this.#behind--
    if (this.#hasPlace) return answer
    this.#present--
    this.#away++
    return (await this.untilBack(assignment)) ? answer : 'released'
  }

  #take(): void {
    if (this.#hasPlace) return
    this.#hasPlace = true
    this.#places.take()
  }

  /** Where nobody is away, those behind are about to go on. */
  #yieldPlace(): void {
    if (!this.#hasPlace || this.#present > (this.#away > 0 ? this.#behind : 0)) return
    this.#hasPlace = false
    this.#places.leave()
  }
}
