import type { RenderedOutput } from '../compiler/plan.ts'

/** One message of the stream, as the page and the terminal show it. Texts are cut: the whole is asked for message by message. */
export interface MessageView {
  /** Counts the messages that are shown, from 1. */
  readonly id: number
  /** When work on it began, epoch milliseconds. */
  readonly at: number
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly key: string | null
  /** Null where it has no name, or cannot be decoded. */
  readonly event: string | null
  /** Its data as JSON, or its value as text. */
  readonly preview: string
  readonly state: MessageState
  /** From the start to the end, retries included; null while it runs. */
  readonly ms: number | null
  /** Of the configuration that it ran on. */
  readonly generation: number
  readonly routes: readonly RouteView[]
  readonly failures: readonly FailureView[]
}

/** `left-out`: no route took it. `released`: it will be delivered again. */
export type MessageState = 'running' | 'retrying' | 'done' | 'left-out' | 'dead-lettered' | 'failed' | 'released'

export interface RouteView {
  /** `<subscription>/<route>`. */
  readonly route: string
  /** `condition`: its `when` did not hold. `duplicate`: its idempotency key was completed before. */
  readonly state: 'took' | 'condition' | 'duplicate'
  readonly actions: readonly ActionView[]
}

export interface ActionView {
  readonly position: number
  readonly kind: string
  /** As the file has it. */
  readonly summary: string
  readonly state: 'running' | 'done' | 'skipped' | 'waiting' | 'failed'
  readonly attempts: number
  /** Of the last attempt. */
  readonly ms: number | null
  /** What went out, or would have. */
  readonly outputs: readonly OutputView[]
  /** Further outputs that are not shown. */
  readonly moreOutputs: number
  /** Of the last attempt that failed; why it was skipped. */
  readonly why: string | null
  /** Epoch milliseconds; null unless it waits for its next attempt. */
  readonly retryAt: number | null
}

export interface OutputView {
  readonly action: string
  /** The channel, topic, handler or address. */
  readonly target: string
  readonly event: string | null
  /** JSON, cut. */
  readonly data: string | null
}

export interface FailureView {
  /** Null where no route was involved. */
  readonly route: string | null
  readonly action: string | null
  readonly attempts: number
  readonly outcome: 'dead-letter' | 'skip' | 'stop'
  /** Of the dead letter. */
  readonly topic: string | null
  readonly error: string
}

const longestText = 2_000

export function cut(text: string, longest = longestText): string {
  return text.length > longest ? `${text.slice(0, longest)}…` : text
}

/** A value as JSON, cut; what JSON cannot say in words. */
export function jsonText(value: unknown, longest = longestText): string {
  if (value instanceof Uint8Array) return `${value.byteLength} bytes`
  try {
    return cut(JSON.stringify(value) ?? String(value), longest)
  } catch {
    return 'a value that JSON cannot hold'
  }
}

export function outputView({ action, ...output }: RenderedOutput): OutputView {
  const { channel, topic, handler, method, url, event, data, body, with: parameters } = output
  const address = typeof url === 'string' ? `${String(method)} ${url}` : undefined
  const target = [channel, topic, handler, address].find(each => typeof each === 'string')
  const content = data ?? body ?? parameters
  return {
    action,
    target: cut(String(target ?? ''), 300),
    event: typeof event === 'string' ? cut(event, 200) : null,
    data: content === undefined ? null : jsonText(content),
  }
}
