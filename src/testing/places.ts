import type { RoutingPlan } from '../compiler/plan.ts'
import type { DeadLetterRecord } from '../engine/ports.ts'
import type { Place } from './recorder.ts'
import type { CompleteMessage } from './test-file.ts'

/** Each message with its offset: a topic has one partition, and its messages stand there as they were given. */
export function withOffsets(given: readonly CompleteMessage[]): readonly (readonly [CompleteMessage, number])[] {
  const next = new Map<string, number>()
  return given.map(message => {
    const offset = next.get(message.topic) ?? 0
    next.set(message.topic, offset + 1)
    return [message, offset]
  })
}

/** After everything that has a place of its own. */
const last = Number.MAX_SAFE_INTEGER

/** Sorts what happens by message, route and action, as they stand in the files. */
export class Places {
  readonly #messages: ReadonlyMap<string, number>
  readonly #routes: ReadonlyMap<string, number>

  constructor(plan: RoutingPlan, given: readonly CompleteMessage[]) {
    this.#messages = new Map(withOffsets(given).map(([{ topic }, offset], index) => [`${topic}/${offset}`, index]))
    const ids = plan.subscriptions.flatMap(({ name, routes }) => [...routes.map(({ id }) => id), `${name}/unmatched`])
    this.#routes = new Map(ids.map((id, index) => [id, index]))
  }

  of(topic: string, offset: number, route: string, action: number, element: number | undefined): Place {
    return [this.#messages.get(`${topic}/${offset}`) ?? last, this.#routes.get(route) ?? last, action, element ?? 0]
  }

  ofLetter({ headers }: DeadLetterRecord): Place {
    const bytes = (name: string) => {
      const value = Object.hasOwn(headers, name) ? headers[name] : undefined
      return Buffer.isBuffer(value) ? value : undefined
    }
    const topic = bytes('kafka_dlt-original-topic')?.toString('utf8') ?? ''
    const offset = Number(bytes('kafka_dlt-original-offset')?.readBigInt64BE() ?? 0)
    const action = Number.parseInt(bytes('signalbox-action')?.toString('utf8') ?? '', 10)
    return this.of(topic, offset, bytes('signalbox-route')?.toString('utf8') ?? '', Number.isNaN(action) ? last : action, undefined)
  }
}
