import type { Assignment } from './assignment.ts'
import type { Seat } from './seat.ts'
import type { StoreTraffic } from './store-traffic.ts'

/** In its place, or away from it while it waits for the store, for a store that is away, or for a key that somebody else works on. */
type Where = 'in-place' | 'claiming' | 'completing' | 'elsewhere'

/** Where a route with `idempotency` is on its way: it has its place for its actions, and leaves it to others while it waits. */
export class Whereabouts {
  readonly #store: StoreTraffic
  readonly #seat: Seat
  /** It leaves its place also while the store is asked: the message has no other route. */
  readonly #isAlone: boolean
  #where: Where = 'in-place'

  constructor(store: StoreTraffic, seat: Seat, isAlone: boolean) {
    this.#store = store
    this.#seat = seat
    this.#isAlone = isAlone
  }

  /** Waits for the store. */
  goAway(to: 'claiming' | 'completing'): void {
    if (!this.#isAlone || this.#where === to) return
    this.comeBack()
    this.#where = to
    if (to === 'claiming') this.#store.claimBegins()
    else this.#store.completionBegins()
    this.#seat.goAway()
  }

  /** Waits for as long as somebody else has the key, or the store is away: it counts neither among those at work nor among those that wait for an answer. */
  waitElsewhere(): void {
    const from = this.#where
    this.#where = 'elsewhere'
    switch (from) {
      case 'in-place':
        this.#seat.goAway()
        return
      case 'claiming':
        this.#store.claimWaitsElsewhere()
        return
      case 'completing':
        this.#store.completionWaitsElsewhere()
        return
      case 'elsewhere':
        return
    }
  }

  /** While it waits elsewhere. False: the partition is leaving, and the store must not be asked. */
  async untilMayAsk(assignment: Assignment): Promise<boolean> {
    const leave = await this.#store.untilMayAsk(assignment)
    if (leave === 'claiming') this.#where = leave
    return leave !== undefined
  }

  /** Takes a place for the actions; false where there is none. */
  enter(): boolean {
    if (this.#where === 'in-place') return true
    if (!this.#seat.tryBack()) return false
    const wasClaiming = this.#where === 'claiming'
    this.#where = 'in-place'
    if (wasClaiming) this.#store.claimFits()
    return true
  }

  /** After `enter` found none: waits for a place. False: the message must not start any more. */
  async untilPlaced(assignment: Assignment, offset: number): Promise<boolean> {
    if (this.#where === 'claiming') this.#store.claimWaits()
    const isPlaced = await assignment.untilBegun(offset, resume => this.#seat.whenPlaced(resume))
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
    if (this.#where === 'claiming') this.#store.claimEnds()
    else if (this.#where === 'completing') this.#store.completionEnds()
    this.#where = 'in-place'
  }
}
