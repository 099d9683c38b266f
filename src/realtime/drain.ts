import type { Writable } from 'node:stream'

/** Those who wait until the operating system has taken what was written: any number, by one listener. */
export class Drain {
  #waiting: (() => void)[] = []
  readonly #writable: Writable

  constructor(writable: Writable) {
    this.#writable = writable
  }

  /** Calls back; never, where the client goes away before. */
  wait(callback: () => void): void {
    if (this.#writable.writableNeedDrain) this.#once(callback)
    else setImmediate(callback)
  }

  #once(callback: () => void): void {
    if (this.#waiting.push(callback) > 1) return
    this.#writable.once('drain', () => {
      const waiting = this.#waiting
      this.#waiting = []
      for (const each of waiting) each()
    })
  }
}
