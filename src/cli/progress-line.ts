/** One line on a terminal that is written over as work goes on; nothing where stderr is no terminal. */
export class ProgressLine {
  readonly #total: number
  readonly #unit: string
  #shownAt = 0

  constructor(total: number, unit: string) {
    this.#total = total
    this.#unit = unit
  }

  /** Shown at most ten times a second. */
  show(done: number): void {
    const now = Date.now()
    if (!process.stderr.isTTY || now - this.#shownAt < 100) return
    this.#shownAt = now
    const width = 24
    const filled = Math.min(width, Math.round((width * done) / Math.max(1, this.#total)))
    const bar = `${'#'.repeat(filled)}${'.'.repeat(width - filled)}`
    process.stderr.write(`\r[${bar}] ${done.toLocaleString('en-US')} of ${this.#total.toLocaleString('en-US')} ${this.#unit}`)
  }

  clear(): void {
    if (process.stderr.isTTY && this.#shownAt > 0) process.stderr.write('\r\u001b[2K')
  }
}
