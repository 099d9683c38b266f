import { resumable } from '../../src/client/resumable.ts'
import { channelAuth } from '../../src/realtime/signature.ts'
import { app, type PusherClient, pusherClient } from '../realtime/harness.ts'

export interface PagesOptions {
  /** The number of the last event that was sent to a channel. */
  readonly sent: (channel: string) => number
  /** A page has been let into a channel for the first time, and does not know yet where it stands. */
  readonly began?: () => void
}

interface Page {
  readonly pusher: PusherClient
  readonly sequences: Map<string, Sequence>
}

/** What one page has got of one channel, and where it was told that something is missing: the number that came next. */
interface Sequence {
  readonly channel: string
  /** What was sent before the page was let in: what comes after it is not to be missed. */
  before: number | undefined
  readonly got: number[]
  /** It was told of a gap that stands before the next event. */
  isGapTold: boolean
  readonly toldBefore: Set<number>
}

/** Pages that follow numbered events with pusher-js and `signalbox/client`, and an account of what each of them got. */
export class Pages {
  readonly #options: PagesOptions
  readonly #pages: Page[] = []
  /** Events that came by replays. */
  replayed = 0

  constructor(options: PagesOptions) {
    this.#options = options
  }

  open(port: number, channels: readonly string[]): void {
    const pusher = pusherClient(port, { channelAuthorization: { transport: 'ajax', endpoint: '', customHandler: authorize } })
    const page: Page = { pusher, sequences: new Map() }
    this.#pages.push(page)
    resumable(pusher, {
      onGap: channel => {
        const sequence = page.sequences.get(channel)
        if (sequence !== undefined) sequence.isGapTold = true
      },
      onResumed: (_, count) => {
        this.replayed += count
      },
    })
    for (const channel of channels) this.#subscribe(page, channel)
  }

  /** Has chosen pages subscribe to a channel, too. */
  follow(channel: string, chosen: () => boolean = () => true): void {
    for (const page of this.#pages) if (!page.sequences.has(channel) && chosen()) this.#subscribe(page, channel)
  }

  /** The last event of the channel that each of its pages has got is this one. */
  haveAll(channel: string, last: number): boolean {
    return this.#sequences.every(sequence => sequence.channel !== channel || sequence.got.at(-1) === last)
  }

  /** Gaps that pages were told of. */
  get told(): number {
    return this.#sequences.reduce((sum, { toldBefore }) => sum + toldBefore.size, 0)
  }

  /** Those of pages that had got something before: they knew where they stood. */
  get toldInBetween(): number {
    return this.#sequences.reduce((sum, { got, toldBefore }) => sum + got.slice(1).filter(n => toldBefore.has(n)).length, 0)
  }

  get events(): number {
    return this.#sequences.reduce((sum, { got }) => sum + got.length, 0)
  }

  /** Where an event is missing or comes again, and the page was not told. */
  get faults(): readonly string[] {
    return this.#sequences.flatMap(({ channel, before: start, got, toldBefore }) =>
      got.flatMap((n, index) => {
        const before = got[index - 1]
        const isNext = before === undefined ? start === undefined || n <= start + 1 : n === before + 1
        return isNext || toldBefore.has(n) ? [] : [`${channel}: ${before ?? `let in after ${start}`} then ${n}`]
      }),
    )
  }

  /** Events that came again after a gap that was told. */
  get repeated(): number {
    return this.#sequences.reduce((sum, { got }) => sum + got.filter((n, index) => n <= (got[index - 1] ?? 0)).length, 0)
  }

  get #sequences(): readonly Sequence[] {
    return this.#pages.flatMap(({ sequences }) => [...sequences.values()])
  }

  #subscribe({ pusher, sequences }: Page, channel: string): void {
    const sequence: Sequence = { channel, before: undefined, got: [], isGapTold: false, toldBefore: new Set() }
    sequences.set(channel, sequence)
    const subscription = pusher.subscribe(channel)
    subscription.bind('pusher:subscription_succeeded', () => {
      if (sequence.before !== undefined) return
      sequence.before = this.#options.sent(channel)
      this.#options.began?.()
    })
    subscription.bind('tick', ({ n }: { n: number }) => {
      if (sequence.isGapTold) sequence.toldBefore.add(n)
      sequence.isGapTold = false
      sequence.got.push(n)
    })
  }
}

function authorize(
  { socketId, channelName }: { socketId: string; channelName: string },
  done: (error: null, auth: { auth: string }) => void,
) {
  done(null, { auth: channelAuth(app, socketId, channelName) })
}
