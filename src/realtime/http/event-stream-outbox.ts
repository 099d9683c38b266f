import type { ServerResponse } from 'node:http'
import type { FrameSink } from '../connection.ts'
import { Drain } from '../drain.ts'
import { type ByteString, framePayload } from '../frame.ts'
import { isObject } from '../json-fields.ts'
import type { OutboxShared } from '../outbox.ts'

/** The last frame that was turned into text: the subscribers of a channel get the same one, one after the other. */
let latest: { readonly frame: ByteString; readonly text: string } = { frame: '', text: '' }

/** Sends what a socket would get as server-sent events, each a JSON object `{ event, channel, data }` whose data is a value, not text. */
export class EventStreamOutbox implements FrameSink {
  trailer: (() => ByteString) | undefined
  #pending = ''
  #scheduled = false
  #ended = false
  #drain: Drain | undefined
  readonly #response: ServerResponse
  readonly #shared: OutboxShared
  readonly #onOverflow: () => void

  constructor(response: ServerResponse, shared: OutboxShared, onOverflow: () => void) {
    this.#response = response
    this.#shared = shared
    this.#onOverflow = onOverflow
  }

  get queuedBytes(): number {
    return this.#pending.length + this.#response.writableLength
  }

  push(frame: ByteString, id?: string): void {
    if (this.#ended) return
    if (latest.frame !== frame) latest = { frame, text: eventText(framePayload(frame)) }
    if (id !== undefined) this.#pending += `id: ${id}\n`
    this.#pending += latest.text
    this.#shared.counters.framesOut += 1
    this.wake()
  }

  /** An id without an event: clients remember it all the same (HTML standard, 9.2.6). */
  pushId(id: string): void {
    if (this.#ended) return
    this.#pending += `id: ${id}\n\n`
    this.wake()
  }

  wake(): void {
    if (this.#scheduled || this.#ended) return
    this.#scheduled = true
    this.#shared.flusher.add(this)
  }

  whenDrained(callback: () => void): void {
    this.flush()
    this.#drain ??= new Drain(this.#response)
    this.#drain.wait(callback)
  }

  flush(): void {
    this.#scheduled = false
    // What is said before the answer has begun waits for it.
    if (this.#ended || this.#pending === '' || !this.#response.headersSent) return
    const pending = this.#pending
    this.#pending = ''
    this.#shared.counters.bytesOut += Buffer.byteLength(pending)
    this.#response.write(pending)
    if (this.#response.writableLength <= this.#shared.settings.limits.queue) return
    this.#ended = true
    this.#onOverflow()
  }

  end(): void {
    this.flush()
    this.#ended = true
    this.#pending = ''
  }
}

function eventText(payload: ByteString): string {
  const message: unknown = JSON.parse(Buffer.from(payload, 'latin1').toString('utf8'))
  if (!isObject(message)) return ''
  // Keeps proxies and clients from giving up on a quiet connection.
  if (message['event'] === 'pusher:ping') return ': ping\n\n'
  return `data: ${JSON.stringify({ ...message, data: plainData(message['data']) })}\n\n`
}

function plainData(data: unknown): unknown {
  if (typeof data !== 'string') return data
  try {
    return JSON.parse(data)
  } catch {
    return data
  }
}
