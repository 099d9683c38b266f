/** A subscription that takes messages under a limit. */
export interface LimitMember {
  /** The last message of the limit was taken: takes no more. */
  limitReached(): void
  /** False while a message that was taken has not ended. */
  readonly isIdle: boolean
}

/**
 * A number of messages that all subscriptions of a run share. It is a number of messages that ran, not of messages that were cut off: the end
 * comes when every one of them has ended, wherever it runs.
 */
export class MessageLimit {
  readonly #onEnd: () => void
  readonly #members = new Set<LimitMember>()
  #remaining: number
  #isOver = false

  /** `onEnd` is called once. */
  constructor(messages: number, onEnd: () => void) {
    this.#remaining = messages
    this.#onEnd = onEnd
  }

  get isReached(): boolean {
    return this.#remaining <= 0
  }

  join(member: LimitMember): void {
    this.#members.add(member)
    if (this.isReached) member.limitReached()
  }

  leave(member: LimitMember): void {
    this.#members.delete(member)
    this.settled()
  }

  /** Takes one message out of the limit; false where none is left. */
  take(): boolean {
    if (this.isReached) return false
    this.#remaining--
    return true
  }

  /** To be called after the message that reached the limit has started. */
  tellMembers(): void {
    for (const member of this.#members) member.limitReached()
    this.settled()
  }

  /** To be called when a message has ended after the limit was reached. */
  settled(): void {
    if (this.#isOver || !this.isReached || [...this.#members].some(member => !member.isIdle)) return
    this.#isOver = true
    this.#onEnd()
  }
}
