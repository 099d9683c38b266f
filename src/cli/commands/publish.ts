import { isUtf8 } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { buffer as readAll } from 'node:stream/consumers'
import type { Command } from 'commander'
import { type DevAccess, readDevFile } from '../dev-file.ts'
import { CommandFailure } from '../failure.ts'
import { print, printError } from '../output.ts'
import { type GlobalOptions, projectRoot } from '../project-root.ts'
import type { PublishedRecord } from '../publish-to-broker.ts'

interface PublishOptions extends GlobalOptions {
  readonly key?: string
  readonly id?: string
  readonly broker?: string
  readonly raw?: true
}

/** For the answer of a router on this machine. */
const devTimeoutMs = 15_000

export function addPublish(program: Command): void {
  program
    .command('publish')
    .summary('send one event')
    .description('Sends one event to the router that `router dev` runs for this project, or to a broker of router.yaml.')
    .argument('<topic>', 'where to')
    .argument('<event>', "the event's name")
    .argument('[data]', "the event's data as JSON; - reads it from stdin")
    .option('--key <key>', "the record's key: events of one key stay in order")
    .option('--id <id>', "the event's id (default: a new one)")
    .option('--broker <name>', 'straight into this broker of router.yaml')
    .option('--raw', 'the data is the whole record, byte for byte, without id and event: router publish TOPIC DATA --raw')
    .addHelpText(
      'after',
      `\nExamples:\n  $ router publish orders order.created '{"order_id": 42}' --key 42\n  $ router publish orders order.created - --broker kafka < order.json\n`,
    )
    .action(async (topic: string, event: string, data: string | undefined, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<PublishOptions>()
      await publish(await readRecord(topic, event, data, options), options)
    })
}

async function readRecord(topic: string, event: string, data: string | undefined, options: PublishOptions): Promise<PublishedRecord> {
  const key = options.key === undefined ? {} : { key: options.key }
  if (options.raw === true) {
    if (options.id !== undefined) throw new CommandFailure(2, '--id has no place in a raw record', 'write the id into the data')
    if (data !== undefined) printError(`warning: a raw record has no event name: ${event} is not sent`)
    return { kind: 'raw', topic, ...key, raw: await readArgument(data ?? event) }
  }
  if (data === undefined) throw new CommandFailure(2, 'DATA is missing', "router publish TOPIC EVENT DATA, such as '{}' or null")
  return { kind: 'event', topic, ...key, event, id: options.id ?? randomUUID(), data: await parseData(String(await readArgument(data))) }
}

async function readArgument(argument: string): Promise<Buffer> {
  return argument === '-' ? await readAll(process.stdin) : Buffer.from(argument)
}

async function parseData(text: string): Promise<unknown> {
  try {
    return JSON.parse(text)
  } catch (error) {
    const { findJsonFault, showJsonFault } = await import('../json-fault.ts')
    const fault = findJsonFault(text)
    const { line, column, frame } = showJsonFault(text, fault)
    const message = `DATA is not valid JSON: ${line}:${column}: expected ${fault.expected}\n\n${indented(frame)}\n`
    throw new CommandFailure(
      1,
      message,
      `quote the whole of it for your shell: '{"order_id": 42}'; a text needs its own quotes: '"paid"'`,
      error,
    )
  }
}

async function publish(record: PublishedRecord, options: PublishOptions): Promise<void> {
  const root = projectRoot(options)
  const dev = options.broker === undefined ? readDevFile(root) : undefined
  if (dev !== undefined && (await publishToDev(dev, record))) {
    report(record, 'router dev')
    return
  }
  const { publishToBroker } = await import('../publish-to-broker.ts')
  report(record, await publishToBroker(root, options.broker, record))
}

/** False where no router is listening: its file was left behind. */
async function publishToDev({ url, token }: DevAccess, record: PublishedRecord): Promise<boolean> {
  let response: Response
  try {
    response = await fetch(new URL('/api/publish', url), {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify(requestOf(record)),
      signal: AbortSignal.timeout(devTimeoutMs),
    })
  } catch (error) {
    if (isRefused(error)) return false
    throw new CommandFailure(2, `the router at ${url} does not answer`, 'stop `router dev` and start it again', error)
  }
  const answer = await response.text()
  // Somebody else has the port now, or another start of `router dev` that could not write its file.
  if (response.status === 401 || response.status === 404) return false
  if (!response.ok) throw new CommandFailure(2, `the router at ${url} did not take it: ${errorIn(answer)}`)
  return true
}

function requestOf({ kind, ...record }: PublishedRecord): object {
  if (!('raw' in record)) return record
  if (!isUtf8(record.raw))
    throw new CommandFailure(2, 'the router in dev takes only text', 'name a broker with --broker to write other bytes')
  return { ...record, raw: record.raw.toString() }
}

function isRefused(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause && cause.code === 'ECONNREFUSED'
}

function errorIn(answer: string): string {
  try {
    const body: unknown = JSON.parse(answer)
    return typeof body === 'object' && body !== null && 'error' in body ? String(body.error) : answer
  } catch {
    return answer
  }
}

function report(record: PublishedRecord, to: string): void {
  if (record.kind === 'raw') print(`published ${record.raw.length} bytes to ${record.topic} (${to})`)
  else print(`published ${record.event} to ${record.topic} (${to}), id ${record.id}`)
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, '  ')
}
