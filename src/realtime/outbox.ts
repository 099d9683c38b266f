import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import type { FrameSink } from './connection.ts'
import type { Counters } from './counters.ts'
import { Drain } from './drain.ts'
import type { ByteString } from './frame.ts'
import type { LiveSettings } from './settings.ts'

/** Bytes joined in memory before they are handed to the socket within one turn: a long burst must not look like a slow client. */
const joinUpTo = 64 * 1024

interface Flushed {
  flush(): void
}

/** Writes every socket that has something to send once, at the end of the turn of the event loop. */
export class Flusher {
  #dirty: Flushed[] = []
  readonly #run = (): void => {
    const dirty = this.#dirty
    this.#dirty = []
    for (const outbox of dirty) outbox.flush()
  }

  add(outbox: Flushed): void {
    if (this.#dirty.push(outbox) === 1) setImmediate(this.#run)
  }
}

export interface OutboxShared {
  readonly flusher: Flusher
  readonly counters: Counters
  readonly settings: LiveSettings
}

/**
 * The one way out to a socket, for events and for the protocol's own messages, so that their order holds. It writes to the raw socket: whoever
 * closes the WebSocket calls `end` first. `onOverflow` is called once, when the client takes less than it is sent.
 */
export class Outbox implements FrameSink {
  trailer: (() => ByteString) | undefined
  #pending: ByteString = ''
  #scheduled = false
  #ended = false
  #drain: Drain | undefined
  readonly #webSocket: WebSocket
  readonly #socket: Duplex
  readonly #shared: OutboxShared
  readonly #onOverflow: () => void

  constructor(webSocket: WebSocket, socket: Duplex, shared: OutboxShared, onOverflow: () => void) {
    this.#webSocket = webSocket
    this.#socket = socket
    this.#shared = shared
    this.#onOverflow = onOverflow
  }

  /** Bytes not yet taken by the operating system. */
  get queuedBytes(): number {
    return this.#pending.length + this.#socket.writableLength
  }

  push(frame: ByteString): void {
    if (this.#ended) return
    this.#pending += frame
    this.#shared.counters.framesOut += 1
    if (this.#pending.length >= joinUpTo) this.flush()
    else this.wake()
  }

  wake(): void {
    if (this.#scheduled || this.#ended) return
    this.#scheduled = true
    this.#shared.flusher.add(this)
  }

  flush(): void {
    this.#scheduled = false
    if (this.#ended) return
    if (this.trailer !== undefined) this.#pending += this.trailer()
    const pending = this.#pending
    if (pending.length === 0) return
    if (this.#webSocket.readyState !== WebSocket.OPEN) {
      // The client has said goodbye: nothing may follow its close frame.
      this.#pending = ''
      return
    }
    const limit = this.#shared.settings.limits.queue
    const stuck = this.#socket.writableLength
    if (stuck > 0 && stuck + pending.length > limit) {
      this.#overflow()
      return
    }
    this.#pending = ''
    this.#shared.counters.bytesOut += pending.length
    this.#socket.write(pending, 'latin1')
    if (this.#socket.writableLength > limit) this.#overflow()
  }

  whenDrained(callback: () => void): void {
    this.flush()
    this.#drain ??= new Drain(this.#socket)
    this.#drain.wait(callback)
  }

  /** Hands over what waits and takes nothing more. */
  end(): void {
    this.flush()
    this.#ended = true
    this.#pending = ''
  }

  #overflow(): void {
    if (this.#ended) return
    this.#ended = true
    this.#pending = ''
    this.#onOverflow()
  }
}
