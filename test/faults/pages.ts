import { resumable } from '../../src/client/resumable.ts'
import { channelAuth } from '../../src/realtime/signature.ts'
import { app, pusherClient } from '../realtime/harness.ts'

/** What one page has got of one channel, and where it was told that something is missing: the number that came next. */
interface Sequence {
  readonly channel: string
  readonly got: number[]
  /** It was told of a gap that stands before the next event. */
  isGapTold: boolean
  readonly toldBefore: Set<number>
}

/** Pages that follow numbered events with pusher-js and `signalbox/client`, and an account of what each of them got. */
export class Pages {
  readonly #sequences: Sequence[] = []
  /** Events that came by replays. */
  replayed = 0

  open(port: number, channels: readonly string[]): void {
    const pusher = pusherClient(port, { channelAuthorization: { transport: 'ajax', endpoint: '', customHandler: authorize } })
    const ofPage = new Map<string, Sequence>()
    resumable(pusher, {
      onGap: channel => {
        const sequence = ofPage.get(channel)
        if (sequence !== undefined) sequence.isGapTold = true
      },
      onResumed: (_, count) => {
        this.replayed += count
      },
    })
    for (const channel of channels) {
      const sequence: Sequence = { channel, got: [], isGapTold: false, toldBefore: new Set() }
      ofPage.set(channel, sequence)
      this.#sequences.push(sequence)
      pusher.subscribe(channel).bind('tick', ({ n }: { n: number }) => {
        if (sequence.isGapTold) sequence.toldBefore.add(n)
        sequence.isGapTold = false
        sequence.got.push(n)
      })
    }
  }

  /** Each has got an event of each of its channels. */
  get areAllThere(): boolean {
    return this.#sequences.every(({ got }) => got.length > 0)
  }

  /** The last event that each has got is this one. */
  haveAll(last: number): boolean {
    return this.#sequences.every(({ got }) => got.at(-1) === last)
  }

  /** Gaps that pages were told of. */
  get told(): number {
    return this.#sequences.reduce((sum, { toldBefore }) => sum + toldBefore.size, 0)
  }

  get events(): number {
    return this.#sequences.reduce((sum, { got }) => sum + got.length, 0)
  }

  /** Where an event is missing or comes again, and the page was not told. */
  get faults(): readonly string[] {
    return this.#sequences.flatMap(({ channel, got, toldBefore }) =>
      got.flatMap((n, index) => {
        const before = got[index - 1]
        return before === undefined || n === before + 1 || toldBefore.has(n) ? [] : [`${channel}: ${before} then ${n}`]
      }),
    )
  }

  /** Events that came again after a gap that was told. */
  get repeated(): number {
    return this.#sequences.reduce((sum, { got }) => sum + got.filter((n, index) => n <= (got[index - 1] ?? 0)).length, 0)
  }
}

function authorize(
  { socketId, channelName }: { socketId: string; channelName: string },
  done: (error: null, auth: { auth: string }) => void,
) {
  done(null, { auth: channelAuth(app, socketId, channelName) })
}
