/** More keys than one channel keeps apart at a time: past it events go out as they come. */
const mostKeys = 10_000

interface KeyState<Item> {
  sentAt: number
  waiting: { readonly item: Item; readonly except: string | undefined } | undefined
}

export interface ConflatorOptions<Item> {
  readonly intervalMs: number
  /** Sends to all subscribers but one socket. */
  readonly send: (item: Item, except: string | undefined) => void
  /** Sends to one socket only. */
  readonly sendTo: (item: Item, socketId: string) => void
  /** An item is replaced before anybody got it. */
  readonly replaced: () => void
}

/**
 * Lets through at most one item per key in every interval: the first at once, then the latest of what came since. No key waits longer than the
 * interval. A socket that a newer item leaves out gets the older one at the moment it is replaced, so that nobody misses its own latest.
 */
export class Conflator<Item> {
  readonly #options: ConflatorOptions<Item>
  /** In the order of `sentAt`, which is the order in which they are due. */
  readonly #keys = new Map<string, KeyState<Item>>()
  /** What waits, in the order in which it came. */
  readonly #waiting = new Map<string, Item>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: ConflatorOptions<Item>) {
    this.#options = options
  }

  get oldestWaiting(): Item | undefined {
    for (const item of this.#waiting.values()) return item
    return undefined
  }

  offer(key: string, item: Item, except: string | undefined): void {
    const state = this.#keys.get(key)
    if (state === undefined) {
      this.#options.send(item, except)
      if (this.#keys.size >= mostKeys) return
      this.#keys.set(key, { sentAt: performance.now(), waiting: undefined })
      this.#arm()
      return
    }
    const { waiting } = state
    if (waiting !== undefined) {
      if (except !== undefined && except !== waiting.except) this.#options.sendTo(waiting.item, except)
      this.#options.replaced()
    }
    state.waiting = { item, except }
    this.#waiting.delete(key)
    this.#waiting.set(key, item)
  }

  /** Sends what waits and forgets its keys. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const [key, { waiting }] of this.#keys) {
      this.#waiting.delete(key)
      if (waiting !== undefined) this.#options.send(waiting.item, waiting.except)
    }
    this.#keys.clear()
  }

  #arm(): void {
    if (this.#timer !== undefined) return
    const first = this.#keys.values().next()
    if (first.done === true) return
    const waitMs = first.value.sentAt + this.#options.intervalMs - performance.now()
    this.#timer = setTimeout(() => this.#sendDue(), Math.max(1, Math.ceil(waitMs)))
    this.#timer.unref()
  }

  #sendDue(): void {
    this.#timer = undefined
    const now = performance.now()
    for (const [key, state] of this.#keys) {
      if (state.sentAt + this.#options.intervalMs > now) break
      this.#keys.delete(key)
      if (state.waiting === undefined) continue
      this.#waiting.delete(key)
      this.#options.send(state.waiting.item, state.waiting.except)
      this.#keys.set(key, { sentAt: now, waiting: undefined })
    }
    this.#arm()
  }
}
