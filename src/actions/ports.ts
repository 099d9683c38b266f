import type { OutgoingRecord } from '../brokers/broker.ts'
import type { Hub } from '../realtime/hub.ts'
import type { BatchHandler, Handler, HandlerLog } from './handler.ts'

/** Everything actions do to the world goes through here. */
export interface ActionPorts {
  readonly broadcast: Hub
  readonly emit: EmitPort
  readonly handlers: HandlerPort
  readonly http: HttpPort
  readonly log: HandlerLog
}

export interface EmitPort {
  /** Writes to the named broker; resolves when it has acknowledged the record. */
  emit(broker: string, record: OutgoingRecord): Promise<void>
}

export interface HandlerPort {
  /** `module` is relative to the project's root; undefined where the module could not be loaded or does not export a function. */
  get(module: string, exportName: string): Handler | undefined
  /** The same for a handler that takes many messages at once. */
  getBatch(module: string, exportName: string): BatchHandler | undefined
}

export interface HttpPort {
  /** Null where nobody keeps the answer. Rejects with HttpFailure: no answer, or one that is no success. */
  send(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer | null>
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly url: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | undefined
  readonly keepsAnswer: boolean
}

export interface HttpAnswer {
  readonly status: number
  /** Names in lower case; values of a name that repeats are joined. */
  readonly headers: Readonly<Record<string, string>>
  /** JSON as what it says, texts as texts, other bytes as a Buffer, nothing as null. */
  readonly body: unknown
}
