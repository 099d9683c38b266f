import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Logger } from '../observe/logger.ts'
import { moduleLoader } from '../runtime/load-modules.ts'
import type { OutgoingEvent, RunningRouter } from '../runtime/router-options.ts'
import { CommandFailure } from './failure.ts'

/** What the module of `--samples` exports as its default: events for as long as the signal is not aborted. */
type SampleSource = (signal: AbortSignal) => AsyncIterable<unknown>

/** Loads the module. Rejects with CommandFailure where it is missing, broken, or exports no function. */
export async function loadSamples(file: string): Promise<SampleSource> {
  const path = resolve(file)
  if (!existsSync(path)) throw new CommandFailure(2, `--samples ${file}: there is no such file`)
  let source: unknown
  try {
    source = await moduleLoader(import.meta.url, {}).import(path, { default: true })
  } catch (error) {
    throw new CommandFailure(1, `--samples ${file} cannot be loaded: ${messageOf(error)}`, undefined, error)
  }
  if (typeof source !== 'function') {
    throw new CommandFailure(
      1,
      `--samples ${file} has no function as its default export`,
      'export default async function* (signal) { yield { topic, event, data } }',
    )
  }
  return signal => source(signal)
}

/** Publishes every sample until the router has stopped. A fault in the samples ends them, not the router. */
export async function publishSamples(samples: SampleSource, router: RunningRouter, log: Logger): Promise<void> {
  const ended = new AbortController()
  void router.done.then(() => ended.abort())
  await router.ready
  try {
    for await (const sample of samples(ended.signal)) {
      if (ended.signal.aborted) return
      await router.publish(readSample(sample))
    }
  } catch (error) {
    if (!ended.signal.aborted) log.error({ error: messageOf(error) }, 'no more sample events')
  }
}

function readSample(sample: unknown): OutgoingEvent {
  const text = (name: string): string | undefined => {
    const value: unknown =
      typeof sample === 'object' && sample !== null && Object.hasOwn(sample, name) ? Reflect.get(sample, name) : undefined
    if (value === undefined || typeof value === 'string') return value
    throw new TypeError(`a sample's "${name}" is no text: ${JSON.stringify(sample)}`)
  }
  const needed = (name: string): string => {
    const value = text(name)
    if (value === undefined) throw new TypeError(`a sample has no "${name}": ${JSON.stringify(sample)}`)
    return value
  }
  const key = text('key')
  const id = text('id')
  const data: unknown = typeof sample === 'object' && sample !== null ? Reflect.get(sample, 'data') : undefined
  return {
    topic: needed('topic'),
    event: needed('event'),
    data,
    ...(key === undefined ? {} : { key }),
    ...(id === undefined ? {} : { id }),
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
