import type { RoutingPlan } from '../compiler/plan.ts'
import { DecodeFailure } from '../engine/decoded-event.ts'
import { decodeRecord } from '../engine/envelope.ts'
import { explainMessage, type StepExplanation } from '../engine/explain.ts'
import type { LoggedMessage } from './logged-message.ts'
import { cut, jsonText, type MessageView, type OutputView, outputView } from './message-view.ts'

/** A message with all that can be said of it: what a click on it shows. */
export interface MessageDetail {
  readonly message: MessageView
  readonly record: {
    readonly key: string | null
    readonly headers: Readonly<Record<string, string>>
    /** As text, cut at 256kb; null for a record without value. */
    readonly value: string | null
    readonly isWhole: boolean
    /** Epoch milliseconds. */
    readonly timestamp: number
  }
  /** As its envelope says; null where it cannot be decoded. */
  readonly event: { readonly id: string | null; readonly event: string | null; readonly data: unknown } | null
  /** Of the configuration that is at work now, which may not be the one that the message saw. */
  readonly explanation: {
    readonly generation: number
    readonly routes: readonly ExplainedRoute[]
    readonly unmatched: ExplainedRest | null
  }
}

interface ExplainedRoute {
  readonly route: string
  readonly matched: boolean
  readonly why: string
  readonly idempotencyKey: string | null
  readonly steps: readonly ExplainedStep[]
}

interface ExplainedRest {
  readonly policy: 'ignore' | 'dead-letter' | 'actions'
  readonly steps: readonly ExplainedStep[]
}

interface ExplainedStep {
  readonly summary: string
  readonly outputs: readonly (OutputView & { readonly error: string | null; readonly skipped: string | null })[]
}

const longestValue = 256 * 1024
const mostOutputs = 20

export function messageDetail(message: LoggedMessage, plan: RoutingPlan, generation: number): MessageDetail {
  const { record } = message
  const listening = plan.subscriptions.filter(({ broker }) => broker === message.broker)
  const { routes, unmatched } = explainMessage(listening, record)
  const value = record.value?.toString('utf8') ?? null
  const isWhole = value === null || value.length <= longestValue
  return {
    message: message.view(),
    record: {
      key: record.key?.toString('utf8') ?? null,
      headers: headersOf(message),
      value: value === null ? null : cut(value, longestValue),
      isWhole,
      timestamp: record.timestamp,
    },
    event: isWhole ? eventOf(message) : null,
    explanation: {
      generation,
      routes: routes.map(({ route, matched, why, idempotencyKey, steps }) => ({
        route,
        matched,
        why: cut(why),
        idempotencyKey: idempotencyKey === null ? null : cut(idempotencyKey),
        steps: steps.map(explainedStep),
      })),
      unmatched: unmatched === null ? null : { policy: unmatched.policy, steps: unmatched.steps.map(explainedStep) },
    },
  }
}

function headersOf({ record }: LoggedMessage): Readonly<Record<string, string>> {
  const texts: Record<string, string> = Object.create(null)
  const headers = Object.entries(record.headers).slice(0, 100)
  for (const [name, value] of headers) texts[cut(name, 200)] = cut((Buffer.isBuffer(value) ? value : value.at(-1))?.toString('utf8') ?? '')
  return texts
}

function eventOf({ record, intake }: LoggedMessage): MessageDetail['event'] {
  const decoded = decodeRecord(intake, record)
  if (decoded instanceof DecodeFailure) return null
  const { id = null, event = null, data } = decoded
  return { id, event, data: data instanceof Uint8Array ? jsonText(data) : (data ?? null) }
}

function explainedStep({ action, outputs }: StepExplanation): ExplainedStep {
  return {
    summary: action.action.summary,
    outputs: outputs.slice(0, mostOutputs).map(output => ({
      ...outputView(output),
      error: output.error === undefined ? null : cut(output.error),
      skipped: output.skipped === true ? cut(String(output['why'] ?? 'left out')) : null,
    })),
  }
}
