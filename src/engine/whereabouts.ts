import type { Assignment } from './assignment.ts'
import type { Places } from './places.ts'
import type { Seat } from './seat.ts'

/** In its place, or away from it while it waits for the store, or for a key that somebody else works on. */
type Where = 'in-place' | 'claiming' | 'completing' | 'elsewhere'

/** Where a route with `idempotency` is on its way: it has its place for its actions, and leaves it to others while it waits. */
export class Whereabouts {
  readonly #places: Places
  readonly #seat: Seat
  /** It leaves its place also while the store is asked: the message has no other route. */
  readonly #isAlone: boolean
  #where: Where = 'in-place'

  constructor(places: Places, seat: Seat, isAlone: boolean) {
    this.#places = places
    this.#seat = seat
    this.#isAlone = isAlone
  }

  /** Waits for the store. */
  goAway(to: 'claiming' | 'completing'): void {
    if (!this.#isAlone || this.#where === to) return
    this.comeBack()
    this.#where = to
    if (to === 'claiming') this.#places.claimBegins()
    else this.#places.completionBegins()
    this.#seat.goAway()
  }

  /** Waits for as long as somebody else has the key: it counts neither among those at work nor among those that wait for the store. */
  waitElsewhere(): void {
    const from = this.#where
    this.#where = 'elsewhere'
    if (from === 'in-place') this.#seat.goAway()
    else if (from === 'claiming') this.#places.claimIsHeld()
  }

  /** Takes a place for the actions; false where there is none. */
  enter(): boolean {
    if (this.#where === 'in-place') return true
    if (!this.#seat.tryBack()) return false
    const wasClaiming = this.#where === 'claiming'
    this.#where = 'in-place'
    if (wasClaiming) this.#places.claimFits()
    return true
  }

  /** After `enter` found none: waits for a place. False: the partition is leaving. */
  async untilPlaced(assignment: Assignment): Promise<boolean> {
    if (this.#where === 'claiming') this.#places.claimWaits()
    const isPlaced = await assignment.pause(resume => this.#seat.whenPlaced(resume))
    if (isPlaced) this.#leaveStore()
    else this.comeBack()
    return isPlaced
  }

  /** Back in its place, whatever the store has said. */
  comeBack(): void {
    if (this.#where === 'in-place') return
    this.#leaveStore()
    this.#seat.comeBack()
  }

  #leaveStore(): void {
    if (this.#where === 'claiming') this.#places.claimEnds()
    else if (this.#where === 'completing') this.#places.completionEnds()
    this.#where = 'in-place'
  }
}
