import { type ByteString, messageFrame } from '../frame.ts'
import type { Resumable } from './resumable.ts'
import type { PositionSink } from './tracker.ts'

/** Tells a socket its positions: with every write, one for each channel that the write has events of. */
export class SocketPositions implements PositionSink {
  readonly #dirty = new Set<Resumable>()
  readonly #wake: () => void

  /** `wake` has the socket written to soon, though no event is there for it. */
  constructor(wake: () => void) {
    this.#wake = wake
  }

  note(subscription: Resumable): undefined {
    // During a replay the client counts what it gets: it stands nowhere else until the end.
    if (!subscription.isHolding) this.#dirty.add(subscription)
  }

  stands(subscription: Resumable): void {
    this.#dirty.add(subscription)
    this.#wake()
  }

  /** The end of a write. */
  frames(): ByteString {
    if (this.#dirty.size === 0) return ''
    let frames = ''
    for (const subscription of this.#dirty) {
      const { position, channel, isHolding } = subscription
      if (position === undefined || isHolding) continue
      const data = JSON.stringify({ channel: channel.name, epoch: position.epoch, serial: position.serial })
      frames += messageFrame({ event: 'router:position', data })
    }
    this.#dirty.clear()
    return frames
  }
}
