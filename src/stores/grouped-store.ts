import {
  type Claim,
  type ClaimAnswer,
  type Completion,
  type GroupedBackend,
  type Holding,
  type IdempotencyStore,
  StoreError,
} from './idempotency-store.ts'

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
class Lane<Asked, Answer> {
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

/** Asks a backend in groups. */
export class GroupedStore implements IdempotencyStore {
  readonly #backend: GroupedBackend
  readonly #claims: Lane<Claim, ClaimAnswer>
  readonly #renewals: Lane<Claim, boolean>
  readonly #completions: Lane<Completion, boolean>
  readonly #releases: Lane<Holding, unknown>
  #closed = false

  constructor(backend: GroupedBackend) {
    this.#backend = backend
    this.#claims = new Lane(claims => backend.claim(claims))
    this.#renewals = new Lane(claims => backend.renew(claims))
    this.#completions = new Lane(completions => backend.complete(completions))
    this.#releases = new Lane(holdings => backend.release(holdings))
  }

  async claim(claim: Claim): Promise<ClaimAnswer> {
    this.#refuseClosed()
    return this.#claims.add(claim)
  }

  async renew(claim: Claim): Promise<boolean> {
    this.#refuseClosed()
    return this.#renewals.add(claim)
  }

  async complete(completion: Completion): Promise<boolean> {
    this.#refuseClosed()
    return this.#completions.add(completion)
  }

  release(holding: Holding): void {
    if (this.#closed) return
    // What cannot be released ends with its lease.
    this.#releases.add(holding).catch(() => {})
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await Promise.all([this.#claims.flush(), this.#renewals.flush(), this.#completions.flush(), this.#releases.flush()])
    await this.#backend.close()
  }

  #refuseClosed(): void {
    if (this.#closed) throw new StoreError('closed', 'the idempotency store is closed')
  }
}
