import { StoreError } from './idempotency-store.ts'

/** Longest wait for company, in ms. */
const groupMs = 5
/** Most questions in one group: one group must not keep a store busy for long. */
const mostInGroup = 512

interface Question<Asked, Answer> {
  readonly asked: Asked
  answer(answer: Answer): void
  fail(error: unknown): void
}

/**
 * Questions of one kind on their way to the store. The first one goes at the end of the event loop's turn, with all that have come by
 * then; those that come while it is under way wait for its answer, at most `groupMs`. So there are few round trips where there is
 * much to do, and hardly a wait where there is little.
 */
export class QuestionLane<Asked, Answer> {
  readonly #ask: (asked: readonly Asked[]) => Promise<readonly Answer[]>
  #waiting: Question<Asked, Answer>[] = []
  readonly #underWay = new Set<Promise<void>>()
  #scheduled = false
  #timer: NodeJS.Timeout | undefined

  constructor(ask: (asked: readonly Asked[]) => Promise<readonly Answer[]>) {
    this.#ask = ask
  }

  add(asked: Asked): Promise<Answer> {
    return new Promise((answer, fail) => {
      this.#waiting.push({ asked, answer, fail })
      if (this.#underWay.size > 0) this.#timer ??= setTimeout(() => this.#send(), groupMs)
      else this.#sendSoon()
    })
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
    while (this.#waiting.length > 0) {
      const sent = this.#answerOf(this.#waiting.splice(0, mostInGroup)).then(() => {
        this.#underWay.delete(sent)
        if (this.#underWay.size === 0 && this.#waiting.length > 0) this.#sendSoon()
      })
      this.#underWay.add(sent)
    }
  }

  async #answerOf(group: readonly Question<Asked, Answer>[]): Promise<void> {
    try {
      const answers = await this.#ask(group.map(({ asked }) => asked))
      for (const [index, question] of group.entries()) {
        const answer = answers[index]
        if (answer === undefined) question.fail(new StoreError('unavailable', 'the store left a question without an answer'))
        else question.answer(answer)
      }
    } catch (error) {
      for (const question of group) question.fail(error)
    }
  }
}
