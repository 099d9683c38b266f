import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Follower, type Reading } from '../../src/realtime/history/follower.ts'
import { HistoryUnavailable, type Position } from '../../src/realtime/history/history.ts'
import { made } from './history-contract.ts'

const channel = 'a'

interface Came {
  readonly at: Position
  readonly isLost: boolean
}

type Said = { readonly kind: 'event' | 'stand'; readonly at: Position }

interface UnderWay {
  readonly go: () => void
  readonly fail: () => void
}

/** A history elsewhere, with messages and answers that take as long as they are let: of each kind in their order. */
class Elsewhere {
  /** Events, and losses up to a place. */
  readonly came: Came[] = []
  readonly follower: Follower
  #epoch = 0
  #serial = 0
  /** The first serial that is still kept. */
  #first = 1
  isUp = false
  #said: Said[] = []
  readonly #questions: UnderWay[] = []
  readonly #answers: UnderWay[] = []

  constructor() {
    this.follower = new Follower({
      app: 'shop',
      listener: {
        deliver: (_, __, { at }) => this.came.push({ at, isLost: false }),
        lost: (_, __, at) => this.came.push({ at, isLost: true }),
      },
      since: (_, from) => this.#ask(() => this.#since(from)),
      askStands: () =>
        this.#ask(() => {
          if (this.isUp) this.#said.push({ kind: 'stand', at: this.latest })
        }),
    })
  }

  get latest(): Position {
    return { epoch: `epoch-${this.#epoch}`, serial: this.#serial }
  }

  append(): void {
    this.#serial += 1
    if (this.isUp) this.#said.push({ kind: 'event', at: this.latest })
  }

  /** Everything before is kept no longer. */
  expire(): void {
    this.#first = this.#serial + 1
  }

  restart(): void {
    this.down()
    this.#epoch += 1
    this.#serial = 0
    this.#first = 1
  }

  hear(): void {
    const said = this.#said.shift()
    if (said?.kind === 'stand') this.follower.stands(channel, said.at)
    if (said?.kind === 'event') this.follower.heard(channel, { ...made('e', '').made, at: said.at }, undefined)
  }

  /** The oldest question reaches it. */
  reach(): void {
    this.#questions.shift()?.go()
  }

  /** The oldest question is answered with an error, though the connection works. */
  refuse(): void {
    this.#questions.shift()?.fail()
  }

  answer(): void {
    this.#answers.shift()?.go()
  }

  /** Nothing is heard any more; what is asked is still answered. */
  deaf(): void {
    this.isUp = false
    this.#said = []
    this.follower.down()
  }

  down(): void {
    this.isUp = false
    this.#said = []
    for (const { fail } of [...this.#questions.splice(0), ...this.#answers.splice(0)]) fail()
    this.follower.down()
  }

  up(): void {
    if (this.isUp) return
    this.isUp = true
    this.follower.up()
  }

  async settle(): Promise<void> {
    this.up()
    for (let quiet = 0; quiet < 3; quiet += 1) {
      await turn()
      const hasWork = this.#said.length + this.#questions.length + this.#answers.length > 0
      while (this.#questions.length > 0) this.reach()
      while (this.#answers.length > 0) this.answer()
      while (this.#said.length > 0) this.hear()
      if (hasWork) quiet = 0
    }
  }

  #since(from: Position): Reading {
    const upTo = this.latest
    if (from.epoch !== upTo.epoch || from.serial > upTo.serial) return { upTo, failed: 'epoch_changed' }
    if (from.serial + 1 < this.#first) return { upTo, failed: 'position_expired' }
    const events = Array.from({ length: upTo.serial - from.serial }, (_, index) => ({ serial: from.serial + index + 1 }))
    return { upTo, events: events.map(({ serial }) => ({ serial, event: 'e', text: '', except: undefined })) }
  }

  #ask<Answer>(question: () => Answer): Promise<Answer> {
    if (!this.isUp) return Promise.reject(new HistoryUnavailable('away'))
    return new Promise((resolve, reject) => {
      const fail = (): void => reject(new HistoryUnavailable('away'))
      const reach = (): void => {
        const found = question()
        this.#answers.push({ go: () => resolve(found), fail })
      }
      this.#questions.push({ go: reach, fail })
    })
  }
}

function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

const steps = [
  'append',
  'append',
  'append',
  'expire',
  'restart',
  'hear',
  'hear',
  'reach',
  'answer',
  'down',
  'deaf',
  'up',
  'up',
  'turn',
] as const
type Step = (typeof steps)[number]

test('whatever is appended, heard, asked and broken in whatever order: all that comes after a place is delivered once and in order, or told to be lost', async () => {
  const some = fc.array(fc.constantFrom(...steps), { maxLength: 60 })
  await fc.assert(fc.asyncProperty(some, some, check), { numRuns: 2_000 })
})

/** Follows the channel from its first event on. */
async function following(): Promise<Elsewhere> {
  const history = new Elsewhere()
  history.up()
  history.follower.follow(channel)
  await history.settle()
  return history
}

test('what is missed while a question is under way is asked for once more', async () => {
  const history = await following()
  history.append()
  history.deaf()
  history.up()
  await turn()
  history.reach()
  history.deaf()
  history.append()
  history.up()
  await history.settle()
  expect(history.came.map(({ at }) => at.serial)).toEqual([1, 2])
})

test('a question that is refused is asked again, though nothing more is heard', async () => {
  const history = await following()
  history.deaf()
  history.append()
  history.up()
  await turn()
  history.refuse()
  await expect.poll(() => history.settle().then(() => history.came.map(({ at }) => at.serial)), { timeout: 20_000 }).toEqual([1])
})

async function check(before: readonly Step[], after: readonly Step[]): Promise<void> {
  const history = new Elsewhere()
  const run = async (step: Step): Promise<void> => {
    if (step === 'turn') await turn()
    else history[step]()
  }
  for (const step of before) await run(step)
  history.follower.follow(channel)
  const start = history.isUp ? history.latest : undefined
  const first = history.came.length
  let told: { readonly at: Position; readonly index: number } | undefined
  const asked = Promise.resolve(history.follower.position(channel)).then(
    at => {
      told = { at, index: history.came.length }
    },
    () => {},
  )
  for (const step of after) await run(step)
  await history.settle()
  await asked
  expect(await history.follower.position(channel)).toEqual(history.latest)
  history.append()
  await history.settle()

  const came = history.came.slice(first)
  // Whoever subscribes gets all from then on, or is told.
  let stands = start
  if (start === undefined) expect(came.some(({ isLost }) => isLost)).toBe(true)
  for (const { at, isLost } of came) {
    // Before that come those that were on their way.
    const isEarlier = !isLost && stands === start && at.epoch === start?.epoch && at.serial <= start.serial
    if (stands !== undefined && !isLost && !isEarlier && at.epoch === stands.epoch) expect(at.serial).toBe(stands.serial + 1)
    if (!isEarlier) stands = at
  }
  expect(stands).toEqual(history.latest)
  if (told !== undefined) expectWhole(came, told.at, history.came.slice(told.index))
  history.follower.close()
}

/** Whoever was told a place gets all that comes after it, and nothing else. */
function expectWhole(all: readonly Came[], told: Position, later: readonly Came[]): void {
  const isNewer = ({ at }: Came): boolean => at.epoch === told.epoch && at.serial > told.serial
  const [next] = all.filter(isNewer)
  if (next !== undefined && !next.isLost) expect(next.at.serial).toBe(told.serial + 1)
  expect(later.filter(each => !each.isLost && each.at.epoch === told.epoch && !isNewer(each))).toEqual([])
}
