import { createColors } from 'picocolors'
import { visible } from '../diagnostics/display-width.ts'
import type { MessageNews } from '../inspector/message-log.ts'
import type { ActionView, MessageView } from '../inspector/message-view.ts'

export interface MessageLinesOptions {
  readonly color: boolean
  write(line: string): void
  /** Milliseconds that only go forward. */
  now(): number
}

/** Most lines a second, and beside them most of messages that failed. */
const mostLines = 20
const mostFailures = 10
const windowMs = 1_000
const longestLine = 240
const remembered = 2_000

/** One calm line for each message that has ended, for a person at a terminal; a burst is a few lines and a count. */
export class MessageLines {
  readonly #options: MessageLinesOptions
  /** A message that changes after its end is not told again. */
  readonly #told = new Set<number>()
  #windowEnd = 0
  #lines = 0
  #failures = 0
  #more = 0
  #leftOut = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: MessageLinesOptions) {
    this.#options = options
  }

  /** `hide` replaces secrets in a text. */
  take({ messages, leftOut }: MessageNews, hide: (text: string) => string): void {
    if (this.#options.now() >= this.#windowEnd) this.#endWindow()
    for (const message of messages) {
      if (message.state === 'running' || message.state === 'retrying' || this.#told.has(message.id)) continue
      this.#told.add(message.id)
      if (this.#hasRoom(message)) this.#options.write(hide(messageLine(message, this.#options)))
      else this.#more++
    }
    // A message that was left out and fails later is shown after all.
    this.#more += Math.max(0, leftOut - this.#leftOut)
    this.#leftOut = leftOut
    for (const id of this.#told) {
      if (this.#told.size <= remembered) break
      this.#told.delete(id)
    }
    if (this.#more > 0) this.#timer ??= setTimeout(() => this.#endWindow(), windowMs).unref()
  }

  #hasRoom({ state }: MessageView): boolean {
    if (state === 'dead-lettered' || state === 'failed') return ++this.#failures <= mostFailures
    return ++this.#lines <= mostLines
  }

  #endWindow(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#more > 0) {
      const { dim } = createColors(this.#options.color)
      this.#options.write(dim(`         ... and ${this.#more.toLocaleString('en')} more`))
    }
    this.#more = 0
    this.#lines = 0
    this.#failures = 0
    this.#windowEnd = this.#options.now() + windowMs
  }
}

/** `12:00:01 ✓ orders order.created → order-created: receipt.ts, private-user.7 · 12 ms`. */
function messageLine(message: MessageView, { color }: { readonly color: boolean }): string {
  const { bold, dim, green, red, yellow } = createColors(color)
  const { at, topic, event, state, ms, routes, failures } = message
  const hasFailed = state === 'dead-lettered' || state === 'failed'
  const sign = hasFailed ? red('✕') : state === 'done' ? green('✓') : dim('–')
  const ways = routes.filter(route => route.state !== 'condition').map(({ route, state: how, actions }) => wayOf(route, how, actions))
  const retries = routes.flatMap(({ actions }) => actions).reduce((sum, { attempts }) => sum + Math.max(0, attempts - 1), 0)
  const rest = [
    ...(retries > 0 ? [yellow(`${retries} ${retries === 1 ? 'retry' : 'retries'}`)] : []),
    ...failures.map(({ topic: letters, error }) =>
      red(safe(letters === null ? `given up: ${error}` : `dead-lettered to ${letters}: ${error}`)),
    ),
    ...(state === 'released' ? [yellow('released: it will be delivered again')] : []),
    ...(ms === null ? [] : [dim(`${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`)]),
  ]
  const where = ways.length === 0 ? (hasFailed ? '' : dim(' no route took it')) : ` → ${ways.join('; ')}`
  return `${dim(new Date(at).toTimeString().slice(0, 8))} ${sign} ${dim(safe(topic))} ${bold(safe(event ?? '(no event)'))}${where}${rest.map(each => ` · ${each}`).join('')}`
}

function wayOf(route: string, how: 'took' | 'condition' | 'duplicate', actions: readonly ActionView[]): string {
  const name = safe(route.slice(route.lastIndexOf('/') + 1))
  if (how === 'duplicate') return `${name}: seen before`
  const targets = actions.flatMap(({ outputs, moreOutputs }) => [
    ...outputs.map(({ action, target }) => (action === 'invoke' ? target.slice(target.lastIndexOf('/') + 1) : target)),
    ...(moreOutputs > 0 ? [`${moreOutputs} more`] : []),
  ])
  return targets.length === 0 ? name : `${name}: ${safe(targets.join(', '))}`
}

/** Names and errors come from strangers: nothing of them may steer the terminal. */
function safe(text: string): string {
  const line = visible(text.replaceAll(/\s+/g, ' '))
  return line.length > longestLine ? `${line.slice(0, longestLine)}…` : line
}
