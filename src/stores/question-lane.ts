import { type Asker, StoreError } from './idempotency-store.ts'

/** Longest wait for company, in ms. */
const groupMs = 5
/** Questions in a whole group: a larger one would only keep the store, and then whoever waits for its answer, idle for longer. */
const mostInGroup = 256

/**
 * Questions of one kind on their way to the store. The first one goes at the end of the event loop's turn, with all that have come by
 * then; those that come while it is under way wait for its answer or until they are a whole group, at most `groupMs`. So there are few round
 * trips where there is much to do, and hardly a wait where there is little. A group costs one promise, its questions none.
 */
export class QuestionLane<Answer, Question extends Asker<Answer>> {
  readonly #ask: (asked: readonly Question[]) => Promise<readonly Answer[]>
  #waiting: Question[] = []
  readonly #underWay = new Set<Promise<void>>()
  #scheduled = false
  #timer: NodeJS.Timeout | undefined

  constructor(ask: (asked: readonly Question[]) => Promise<readonly Answer[]>) {
    this.#ask = ask
  }

  add(asked: Question): void {
    this.#waiting.push(asked)
    if (this.#waiting.length >= mostInGroup) this.#send()
    else if (this.#underWay.size > 0) this.#timer ??= setTimeout(() => this.#send(), groupMs)
    else this.#sendSoon()
  }

  #sendSoon(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => this.#send())
  }

  /** Sends what waits, and resolves when every answer is there. */
  async flush(): Promise<void> {
    while (this.#waiting.length > 0 || this.#underWay.size > 0) {
      this.#send()
      await Promise.all(this.#underWay)
    }
  }

  #send(): void {
    this.#scheduled = false
    clearTimeout(this.#timer)
    this.#timer = undefined
    const waiting = this.#waiting
    this.#waiting = []
    for (let from = 0; from < waiting.length; from += mostInGroup) {
      const group = waiting.length <= mostInGroup ? waiting : waiting.slice(from, from + mostInGroup)
      const sent = this.#answer(group).then(() => {
        this.#underWay.delete(sent)
        if (this.#underWay.size === 0 && this.#waiting.length > 0) this.#sendSoon()
      })
      this.#underWay.add(sent)
    }
  }

  async #answer(group: readonly Question[]): Promise<void> {
    let answers: readonly Answer[]
    try {
      answers = await this.#ask(group)
    } catch (error) {
      for (const question of group) question.failed(error)
      return
    }
    for (let index = 0; index < group.length; index++) {
      const answer = answers[index]
      if (answer === undefined) group[index]?.failed(new StoreError('unavailable', 'the store left a question without an answer'))
      else group[index]?.answered(answer)
    }
  }
}
