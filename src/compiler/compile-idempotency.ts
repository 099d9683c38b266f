import { compileName } from './name-template.ts'
import type { EnvelopePlan, IdempotencyPlan } from './plan.ts'
import { type Scope, TemplateError } from './scope.ts'
import type { SourceSection } from './source-section.ts'
import type { TemplateContext } from './template-context.ts'

export interface IdempotencySurroundings {
  readonly context: TemplateContext
  readonly envelope: EnvelopePlan
  /** Of router.yaml, in ms. */
  readonly ttlMs: number
}

/** A route's `idempotency`. Undefined where there is none, or after reporting. */
export function compileIdempotency(section: SourceSection, around: IdempotencySurroundings): IdempotencyPlan | undefined {
  if (!section.isReadable('idempotency')) return undefined
  const rule = section.section('idempotency')
  const policy = { ttlMs: rule.duration('ttl') ?? around.ttlMs, check: rule.flag('check') ?? false }
  if (!rule.has('key')) return identityPlan(section, around.envelope, policy)
  const text = rule.text('key')
  const name = text === undefined ? undefined : compileName(around.context, rule.pathOf('key'), text, 'idempotency')
  if (name === undefined) return undefined
  if (name.constant !== undefined) {
    section.report.at(
      rule.pathOf('key'),
      'idempotency-key',
      'This key is the same for every message: only the first one would run',
      'Insert what tells them apart, such as {{data.order_id}}',
    )
    return undefined
  }
  return { text: name.text, key: name.render, ...policy }
}

function identityPlan(
  section: SourceSection,
  envelope: EnvelopePlan,
  policy: { readonly ttlMs: number; readonly check: boolean },
): IdempotencyPlan | undefined {
  const hasIds = envelope.kind !== 'raw' && !(envelope.kind === 'mapping' && envelope.id === undefined)
  if (hasIds) return { text: "the event's identity", key: identityKey, ...policy }
  section.report.atKey(
    section.pathOf('idempotency'),
    'idempotency-key',
    `Messages of \`envelope: ${envelope.kind === 'raw' ? 'raw' : '{ ... }` without `id'}\` have no identity`,
    'Write idempotency: { key: "{{data.order_id}}" } with what tells them apart',
  )
  return undefined
}

/** CloudEvents `source/id`, else the envelope's id. Where the message stands is no identity: the same event sent twice stands in two places. */
function identityKey({ id, source }: Scope): string {
  if (id === undefined)
    throw new TemplateError('the message has no id that `idempotency` could take: give the route a `key`', 'idempotency: true')
  return source === undefined ? id : `${source}/${id}`
}
