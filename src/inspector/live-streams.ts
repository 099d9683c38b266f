import type { IncomingMessage, ServerResponse } from 'node:http'
import { RequestRefused } from './request-guard.ts'

const mostStreams = 20
/** A page that does not read is cut off; it comes back by itself and gets everything anew. */
const mostWaitingBytes = 4 * 1024 * 1024
const heartbeatMs = 15_000

export interface LiveStreams {
  /** Pages that are open. */
  readonly size: number
  /** Keeps the response open as server-sent events. Throws RequestRefused when there are too many. */
  open(request: IncomingMessage, response: ServerResponse, greeting: readonly LiveMessage[]): void
  send(message: LiveMessage): void
  close(): void
}

export interface LiveMessage {
  readonly event: string
  readonly data: unknown
}

/** Server-sent events to every open page. `redact` takes a line of JSON and gives it back without what nobody may see. */
export function createLiveStreams(redact: (line: string) => string): LiveStreams {
  const responses = new Set<ServerResponse>()
  const write = (response: ServerResponse, text: string): void => {
    if (response.writableLength > mostWaitingBytes) response.destroy()
    else response.write(text)
  }
  const heartbeat = setInterval(() => {
    for (const response of responses) write(response, ': still here\n\n')
  }, heartbeatMs)
  heartbeat.unref()

  return {
    get size() {
      return responses.size
    },
    open(request, response, greeting) {
      if (responses.size >= mostStreams) throw new RequestRefused(503, 'too many pages are open')
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
      for (const message of greeting) write(response, frame(message, redact))
      responses.add(response)
      request.on('close', () => responses.delete(response))
      response.on('close', () => responses.delete(response))
      response.on('error', () => responses.delete(response))
    },
    send(message) {
      if (responses.size === 0) return
      const text = frame(message, redact)
      for (const response of responses) write(response, text)
    },
    close() {
      clearInterval(heartbeat)
      for (const response of responses) response.end()
      responses.clear()
    },
  }
}

/** JSON has no line breaks outside its texts, where they are escaped: one `data:` line is enough. */
function frame({ event, data }: LiveMessage, redact: (line: string) => string): string {
  return `event: ${event}\ndata: ${redact(JSON.stringify(data)).trimEnd()}\n\n`
}
