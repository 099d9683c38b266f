import type { ResumeFailure } from '../counters.ts'
import type { ByteString } from '../frame.ts'
import type { Position } from '../history/history.ts'

/** An event without a place is none of the history's; of a loss `at` is where it ends. */
export type HeldItem =
  | { readonly kind: 'event'; readonly frame: ByteString; readonly at: Position | undefined }
  | { readonly kind: 'loss'; readonly at: Position; readonly why: ResumeFailure }

/** What is sent to a subscription while it waits, in its order. */
export class HeldBack {
  bytes = 0
  #items: HeldItem[] = []
  /** Of all subscriptions of the client. */
  readonly #total: { heldBytes: number }

  constructor(total: { heldBytes: number }) {
    this.#total = total
  }

  event(frame: ByteString, at: Position | undefined): void {
    this.#items.push({ kind: 'event', frame, at })
    this.bytes += frame.length
    this.#total.heldBytes += frame.length
  }

  loss(at: Position, why: ResumeFailure): void {
    this.#items.push({ kind: 'loss', at, why })
  }

  /** The client is told of something that stands for them all. */
  forgetLosses(): void {
    this.#items = this.#items.filter(({ kind }) => kind !== 'loss')
  }

  release(): readonly HeldItem[] {
    const items = this.#items
    this.#items = []
    this.#total.heldBytes -= this.bytes
    this.bytes = 0
    return items
  }
}
