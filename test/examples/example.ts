import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import { startRouter } from '../../src/runtime/router.ts'
import type { OutgoingEvent, RouterOptions, RunningRouter } from '../../src/runtime/router-options.ts'
import { type ReceivedEvent, Subscriber } from '../support/pusher-client.ts'

/** An example's folder, and what its README says. */
export interface Example {
  readonly root: string
  /** The `npx router publish` lines for `router dev`, in order. */
  readonly published: readonly OutgoingEvent[]
  /** What the README promises to see, in order. */
  readonly promised: readonly ReceivedEvent[]
}

export async function readExample(name: string): Promise<Example> {
  const root = fileURLToPath(new URL(`../../examples/${name}`, import.meta.url))
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  return {
    root,
    published: linesOf(readme, 'sh').flatMap(line => publishCommand(line) ?? []),
    promised: linesOf(readme, 'text').flatMap(line => promise(line) ?? []),
  }
}

/** Runs the example as `router dev` does, on any free port. It stops with the test. */
export async function runExample({ root }: Example, options: Partial<RouterOptions> = {}): Promise<RunningRouter> {
  const router = await startRouter({ root, mode: 'dev', env: {}, log: pino({ level: 'silent' }), port: 0, watch: false, ...options })
  onTestFinished(() => router.stop())
  await router.ready
  return router
}

/** A pusher-js client that is subscribed to every channel the README promises something on. */
export async function subscriberOf({ promised }: Example, router: RunningRouter): Promise<Subscriber> {
  const subscriber = new Subscriber(router.address.port, 'app-key')
  await subscriber.subscribe(...new Set(promised.map(({ channel }) => channel)))
  return subscriber
}

/** Keys run side by side: what is received counts, not in which order. */
export function inAnyOrder(events: readonly object[]): readonly string[] {
  return events.map(event => JSON.stringify(event)).sort()
}

function linesOf(markdown: string, language: string): readonly string[] {
  const blocks = [...markdown.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].filter(match => match[1] === language)
  return blocks.flatMap(match => (match[2] ?? '').trimEnd().split('\n'))
}

function publishCommand(line: string): OutgoingEvent | undefined {
  const words = [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')
  if (words.slice(0, 3).join(' ') !== 'npx router publish' || words.includes('--broker')) return undefined
  const { positionals, values } = parseArgs({
    args: words.slice(3),
    allowPositionals: true,
    options: { key: { type: 'string' }, id: { type: 'string' } },
  })
  const [topic = '', event = '', data = 'null'] = positionals
  return { topic, event, data: JSON.parse(data), ...values }
}

/** `channel  event  {"some": "data"}` */
function promise(line: string): ReceivedEvent | undefined {
  const match = /^(\S+) +(\S+) +(\{.*\})$/.exec(line)
  return match === null ? undefined : { channel: String(match[1]), event: String(match[2]), data: JSON.parse(String(match[3])) }
}
