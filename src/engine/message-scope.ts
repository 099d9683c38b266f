import type { SourceRecord } from '../compiler/plan.ts'
import type { Scope } from '../compiler/scope.ts'
import type { DecodedEvent } from './decoded-event.ts'

const noResults: Readonly<Record<string, unknown>> = Object.freeze(Object.create(null))

/** One message as templates, conditions and actions see it. Key and headers become text when first asked for. */
export class MessageScope implements Scope {
  readonly record: SourceRecord
  readonly decoded: DecodedEvent
  readonly results: Readonly<Record<string, unknown>>
  readonly item: unknown
  #key: string | undefined
  #headers: Readonly<Record<string, string>> | undefined

  constructor(
    record: SourceRecord,
    decoded: DecodedEvent,
    results: Readonly<Record<string, unknown>> = noResults,
    item: unknown = undefined,
  ) {
    this.record = record
    this.decoded = decoded
    this.results = results
    this.item = item
  }

  get id(): string | undefined {
    return this.decoded.id
  }

  get source(): string | undefined {
    return this.decoded.source
  }

  get event(): string | undefined {
    return this.decoded.event
  }

  get data(): unknown {
    return this.decoded.data
  }

  get topic(): string {
    return this.record.topic
  }

  get partition(): number {
    return this.record.partition
  }

  get offset(): number {
    return this.record.offset
  }

  get timestamp(): number {
    return this.record.timestamp
  }

  get key(): string | undefined {
    if (this.#key === undefined && this.record.key !== null) this.#key = this.record.key.toString('utf8')
    return this.#key
  }

  get headers(): Readonly<Record<string, string>> {
    this.#headers ??= headerTexts(this.record)
    return this.#headers
  }

  /** The same message with results of its own, for a route that keeps them. */
  withResults(results: Record<string, unknown>): MessageScope {
    return new MessageScope(this.record, this.decoded, results, this.item)
  }

  /** The same message with one element of a `forEach`. */
  withItem(item: unknown): MessageScope {
    return new MessageScope(this.record, this.decoded, this.results, item)
  }
}

/** What identifies a message: CloudEvents `source/id`, the envelope's id, else where the record stands. */
export function identityOf(scope: MessageScope): string {
  const { id, source } = scope.decoded
  if (id === undefined) return `${scope.topic}/${scope.partition}/${scope.offset}`
  return source === undefined ? id : `${source}/${id}`
}

/** Most messages have none: they share one. */
const noHeaders: Readonly<Record<string, string>> = Object.freeze(Object.create(null))

function headerTexts({ headers }: SourceRecord): Readonly<Record<string, string>> {
  let texts: Record<string, string> | undefined
  for (const name in headers) {
    const value = headers[name]
    const last = Buffer.isBuffer(value) ? value : value?.at(-1)
    if (last === undefined) continue
    texts ??= ownNames()
    texts[name] = last.toString('utf8')
  }
  return texts ?? noHeaders
}

function ownNames(): Record<string, string> {
  return Object.create(null)
}
