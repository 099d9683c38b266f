import type { ActionSource, ActionType, DataSource, NameSource } from '../compiler/action-type.ts'
import type { Attempt, CompiledAction, RenderedOutput } from '../compiler/plan.ts'
import type { Scope } from '../compiler/scope.ts'
import { didYouMean } from '../config/did-you-mean.ts'
import type { EmitFormat } from './handler.ts'
import { derivedId, formatRecord, type OutgoingEvent } from './outgoing-event.ts'
import type { EmitPort } from './ports.ts'

/** `emit`: writes a record to a topic. Key, event name and data are the message's own unless the action says otherwise. */
export function emitAction(port: EmitPort): ActionType {
  return {
    key: 'emit',
    compile(source) {
      const parts = readParts(source)
      return parts === undefined ? undefined : build(port, parts, source.broker)
    },
  }
}

interface EmitParts {
  readonly topic: NameSource
  readonly key: NameSource | undefined
  readonly event: NameSource | undefined
  readonly data: DataSource | undefined
  readonly id: NameSource | undefined
  readonly headers: readonly (readonly [string, NameSource])[]
  readonly format: EmitFormat
  readonly broker: string | undefined
}

function readParts(source: ActionSource): EmitParts | undefined {
  const { section } = source
  const isShort = typeof source.value === 'string'
  const topicText = isShort ? source.siblings.text('emit') : section.text('topic')
  if (!isShort && !section.has('topic') && section.report.document.isSound(source.path))
    source.report(source.path, 'schema-missing-key', 'An emit needs a topic', 'Add topic: order-audit')
  const topic = topicText === undefined ? undefined : source.name(isShort ? source.path : section.pathOf('topic'), topicText, 'topic')
  const names = {
    key: optionalName(source, 'key', 'key'),
    event: optionalName(source, 'event', 'event'),
    id: optionalName(source, 'id', 'id'),
  }
  const data = section.isReadable('data') ? source.data(section.pathOf('data'), section.value('data')) : undefined
  const headers = readHeaders(source)
  const broker = readBroker(source)
  const isWhole = Object.entries({ ...names, data, broker }).every(([key, compiled]) => !section.has(key) || compiled !== undefined)
  if (topic === undefined || headers === undefined || !isWhole) return undefined
  return { topic, ...names, data, headers, broker, format: section.oneOf('format', ['event', 'cloudevents', 'raw']) ?? 'event' }
}

function optionalName(source: ActionSource, key: string, place: 'key' | 'event' | 'id'): NameSource | undefined {
  const text = source.section.text(key)
  return text === undefined ? undefined : source.name(source.section.pathOf(key), text, place)
}

function readHeaders(source: ActionSource): readonly (readonly [string, NameSource])[] | undefined {
  const section = source.section.section('headers')
  const headers: (readonly [string, NameSource])[] = []
  for (const name of section.keys()) {
    const text = section.text(name)
    const value = text === undefined ? undefined : source.name(section.pathOf(name), text, 'header')
    if (value !== undefined) headers.push([name, value])
  }
  return headers.length === section.keys().length ? headers : undefined
}

function readBroker(source: ActionSource): string | undefined {
  const broker = source.section.text('broker')
  if (broker === undefined || source.brokers.includes(broker)) return broker
  const near = didYouMean(broker, source.brokers)
  const hint = near === undefined ? `Brokers are ${source.brokers.join(', ')}` : `Did you mean \`${near}\`?`
  source.report(source.section.pathOf('broker'), 'broker-unknown', `router.yaml defines no broker \`${broker}\``, hint)
  return undefined
}

function build(port: EmitPort, parts: EmitParts, broker: string): CompiledAction {
  return {
    kind: 'emit',
    summary: `emit ${parts.topic.text}`,
    targets: [
      {
        kind: 'topic',
        name: parts.topic.text,
        isConstant: parts.topic.constant !== undefined,
        broker: parts.broker ?? broker,
        event: parts.event?.constant,
        keepsEvent: parts.event === undefined,
      },
    ],
    run: (scope, attempt) => port.emit(parts.broker ?? attempt.broker, formatRecord(outgoing(parts, scope, attempt))),
    render: (scope, attempt) => [rendered(parts, outgoing(parts, scope, attempt))],
  }
}

function outgoing(parts: EmitParts, scope: Scope, attempt: Attempt): OutgoingEvent {
  return {
    topic: parts.topic.render(scope),
    key: keyOf(parts.key, scope, attempt),
    event: parts.event === undefined ? scope.event : parts.event.render(scope),
    data: parts.data === undefined ? scope.data : parts.data.render(scope),
    headers: renderHeaders(parts.headers, scope),
    id: parts.id === undefined ? derivedId(attempt, 0) : parts.id.render(scope),
    format: parts.format,
    isTombstone: parts.data === undefined && attempt.record.value === null,
    source: scope.source ?? encodeURI(`/${attempt.route.id}`),
    timestamp: scope.timestamp,
  }
}

function rendered(parts: EmitParts, event: OutgoingEvent): RenderedOutput {
  // What the format refuses, such as bytes inside an envelope, is refused here as well.
  formatRecord(event)
  const { topic, key, data, headers } = event
  return {
    action: 'emit',
    topic,
    key: key === null ? null : key.toString('utf8'),
    ...(event.event === undefined ? {} : { event: event.event }),
    data: data ?? null,
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
    ...(parts.format === 'event' ? {} : { format: parts.format }),
    ...(parts.broker === undefined ? {} : { broker: parts.broker }),
  }
}

/** Without `key:` the record's own key, byte for byte; a lone path that is missing means no key. */
function keyOf(key: NameSource | undefined, scope: Scope, attempt: Attempt): Buffer | null {
  const own = attempt.record.key
  if (key === undefined) return own
  if (key.lonePath !== undefined && key.lonePath(scope) === undefined) return null
  const text = key.render(scope)
  // `{{key}}` is text: bytes that are not UTF-8 would come out as another key.
  return own !== null && text === scope.key ? own : Buffer.from(text, 'utf8')
}

function renderHeaders(headers: readonly (readonly [string, NameSource])[], scope: Scope): Readonly<Record<string, string>> {
  const rendered: Record<string, string> = Object.create(null)
  for (const [name, value] of headers) rendered[name] = value.render(scope)
  return rendered
}
