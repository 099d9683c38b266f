import type { OutgoingRecord } from '../brokers/broker.ts'
import type { Hub } from '../realtime/hub.ts'
import type { Handler, HandlerLog } from './handler.ts'

/** Everything actions do to the world goes through here. */
export interface ActionPorts {
  readonly broadcast: Hub
  readonly emit: EmitPort
  readonly handlers: HandlerPort
  readonly log: HandlerLog
}

export interface EmitPort {
  /** Writes to the named broker; resolves when it has acknowledged the record. */
  emit(broker: string, record: OutgoingRecord): Promise<void>
}

export interface HandlerPort {
  /** `module` is relative to the project's root; undefined where the module could not be loaded or does not export a function. */
  get(module: string, exportName: string): Handler | undefined
}
