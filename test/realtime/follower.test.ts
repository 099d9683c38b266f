import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Follower, type Reading } from '../../src/realtime/history/follower.ts'
import { HistoryUnavailable, type Position } from '../../src/realtime/history/history.ts'
import { made } from './history-contract.ts'

const channel = 'a'

// What is asked again is asked as soon as everything else has settled.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})

afterEach(() => {
  vi.useRealTimers()
})

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
  /** Of the epoch: it moves on until the first event. */
  #day = 0
  #serial = 0
  /** The first serial that is still kept. */
  #first = 1
  isUp = false
  /** Questions, up to now. */
  asked = 0
  /** Messages are heard: sooner than it is up, and later than that no more. */
  #isHeard = false
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
          this.#say('stand')
        }),
    })
  }

  get latest(): Position {
    return { epoch: `epoch-${String(this.#epoch).padStart(3, '0')}-${this.#day}`, serial: this.#serial }
  }

  append(): void {
    this.#serial += 1
    this.#say('event')
  }

  /** A channel without events stands somewhere else, with nothing missed in between. */
  dawn(): void {
    if (this.#serial === 0) this.#day += 1
  }

  /** Everything before is kept no longer. */
  expire(): void {
    this.#first = this.#serial + 1
  }

  restart(): void {
    this.down()
    this.forget()
  }

  forget(): void {
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
    this.#isHeard = false
    this.#said = []
    this.follower.down()
  }

  down(): void {
    for (const { fail } of [...this.#questions.splice(0), ...this.#answers.splice(0)]) fail()
    this.deaf()
  }

  /** Messages are heard again, before anything can be asked. */
  listen(): void {
    this.#isHeard = true
  }

  up(): void {
    if (this.isUp) return
    this.listen()
    this.isUp = true
    this.follower.up()
  }

  async settle(): Promise<void> {
    this.up()
    for (let quiet = 0; quiet < 3; quiet += 1) {
      await turn()
      const hasWork = vi.getTimerCount() + this.#said.length + this.#questions.length + this.#answers.length > 0
      while (this.#questions.length > 0) this.reach()
      while (this.#answers.length > 0) this.answer()
      while (this.#said.length > 0) this.hear()
      vi.runOnlyPendingTimers()
      if (hasWork) quiet = 0
    }
  }

  #say(kind: Said['kind']): void {
    if (this.#isHeard) this.#said.push({ kind, at: this.latest })
  }

  #since(asked: Position): Reading {
    const upTo = this.latest
    const from = isBeginningOf(asked, upTo) ? { epoch: upTo.epoch, serial: 0 } : asked
    if (from.epoch !== upTo.epoch || from.serial > upTo.serial) return { upTo, failed: 'epoch_changed' }
    if (from.serial + 1 < this.#first) return { upTo, failed: 'position_expired' }
    const events = Array.from({ length: upTo.serial - from.serial }, (_, index) => ({ serial: from.serial + index + 1 }))
    return { upTo, events: events.map(({ serial }) => ({ serial, event: 'e', text: '', except: undefined })) }
  }

  #ask<Answer>(question: () => Answer): Promise<Answer> {
    this.asked += 1
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

/** A place before the first event of another day, of the same epoch. */
function isBeginningOf(place: Position, { epoch }: Position): boolean {
  return place.serial === 0 && withoutDay(place.epoch) === withoutDay(epoch)
}

function isAfter(one: Position, other: Position): boolean {
  const [of, than] = [withoutDay(one.epoch), withoutDay(other.epoch)]
  return of === than ? one.serial > other.serial : of > than
}

function withoutDay(epoch: string): string {
  return epoch.replace(/-\d+$/, '')
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
  'forget',
  'dawn',
  'hear',
  'hear',
  'reach',
  'answer',
  'down',
  'deaf',
  'listen',
  'listen',
  'up',
  'up',
  'turn',
] as const
type Step = (typeof steps)[number]

test('whatever is appended, heard, asked and broken in whatever order: all that comes after a place is delivered once and in order, or told to be lost', async () => {
  const some = fc.array(fc.constantFrom(...steps), { maxLength: 60 })
  await fc.assert(fc.asyncProperty(some, some, check), { numRuns: 2_000, examples: [[['up'], ['forget', 'turn', 'reach', 'dawn']]] })
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
  await history.settle()
  expect(history.came.map(({ at }) => at.serial)).toEqual([1])
})

/** One event goes unheard, and the next one is heard before both connections work. */
async function expectLossBeforeWhatIsHeard(history: Elsewhere): Promise<void> {
  history.append()
  history.listen()
  history.append()
  history.hear()
  await history.settle()
  expect(history.came).toEqual([
    { at: { ...history.latest, serial: 1 }, isLost: true },
    { at: history.latest, isLost: false },
  ])
}

test('what is heard of a channel before it is up tells what was missed before it', async () => {
  const history = new Elsewhere()
  history.follower.follow(channel)
  await expectLossBeforeWhatIsHeard(history)
})

test('a channel that has had no event here is told when its history was lost, whatever is heard before it is up', async () => {
  const history = await following()
  history.restart()
  await expectLossBeforeWhatIsHeard(history)
})

test('the first event of an epoch that goes on from a place before it is no loss', async () => {
  const history = await following()
  history.dawn()
  history.append()
  await history.settle()
  expect(history.came).toEqual([{ at: history.latest, isLost: false }])
})

test('of what is gone only that is lost which was not heard since', async () => {
  const history = await following()
  history.deaf()
  for (let n = 0; n < 3; n++) history.append()
  history.up()
  history.append()
  history.hear()
  history.expire()
  history.append()
  await history.settle()
  expect(history.came.map(({ at, isLost }) => [at.serial, isLost])).toEqual([
    [3, true],
    [4, false],
    [5, false],
  ])
})

test('an event that the history does not have is asked for once in a while, not again and again', async () => {
  const history = await following()
  history.append()
  await history.settle()
  const before = history.asked
  history.follower.heard(channel, { ...made('e', '').made, at: { ...history.latest, serial: 1_000_000 } }, undefined)
  await history.settle()
  expect(history.asked - before).toBe(2)
  history.append()
  await history.settle()
  expect(history.came.map(({ at }) => at.serial)).toEqual([1, 2])
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
  // The next event tells of what is forgotten, too.
  history.append()
  await history.settle()
  expect(await history.follower.position(channel)).toEqual(history.latest)

  const came = history.came.slice(first)
  // Whoever subscribes gets all from then on, or is told.
  let stands = start
  if (start === undefined) expect(came.some(({ isLost }) => isLost)).toBe(true)
  for (const [index, { at, isLost }] of came.entries()) {
    // Before that come those that were on their way.
    const isEarlier = !isLost && stands === start && start !== undefined && !isAfter(at, start)
    // Who has not been told a place yet hears a new epoch from its first event on.
    const isNewHere = told === undefined || first + index < told.index || told.at.epoch === at.epoch || isBeginningOf(told.at, at)
    const isBegun = stands === start && at.serial === 1 && isNewHere
    if (stands !== undefined && !isLost && !isEarlier && !isBegun) {
      expect(isBeginningOf(stands, at) ? { epoch: at.epoch, serial: 0 } : stands).toEqual({ epoch: at.epoch, serial: at.serial - 1 })
    }
    if (!isEarlier) stands = at
  }
  expect(stands).toEqual(history.latest)
  const epochs = came.map(({ at }) => withoutDay(at.epoch))
  expect(epochs).toEqual(epochs.toSorted())
  if (told !== undefined) expectWhole(came, told.at, history.came.slice(told.index))
  history.follower.close()
}

/** Whoever was told a place gets all that comes after it, and nothing else. */
function expectWhole(all: readonly Came[], told: Position, later: readonly Came[]): void {
  const isOfEpoch = (at: Position): boolean => at.epoch === told.epoch || isBeginningOf(told, at)
  const isNewer = ({ at }: Came): boolean => isOfEpoch(at) && at.serial > told.serial
  const [next] = all.filter(isNewer)
  if (next !== undefined && !next.isLost) expect(next.at.serial).toBe(told.serial + 1)
  expect(later.filter(each => !each.isLost && isOfEpoch(each.at) && !isNewer(each))).toEqual([])
}
