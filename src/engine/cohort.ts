/** The messages at work that started on one version of a plan. Others may follow until it has been left. */
export class Cohort {
  #running = 0
  #whenOver: (() => void) | undefined

  began(): void {
    this.#running++
  }

  ended(): void {
    this.#running--
    if (this.#running === 0) this.#whenOver?.()
  }

  /** No further message joins it: resolves when the last has ended. */
  leave(): Promise<void> {
    if (this.#running === 0) return Promise.resolve()
    return new Promise(resolve => {
      this.#whenOver = resolve
    })
  }
}
