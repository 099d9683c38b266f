import { AsyncLocalStorage } from 'node:async_hooks'
import { type BatchHandler, type Handler, type HandlerContext, PermanentError } from '../actions/handler.ts'
import type { ActionPorts } from '../actions/ports.ts'
import type { OutgoingRecord } from '../brokers/broker.ts'
import type { DeadLetterRecord } from '../engine/ports.ts'
import type { Mock } from './test-file.ts'

export type Recorded = Readonly<Record<string, unknown>>

/** Which action of which route did something for which message: numbers that sort as they stand in the files. */
export type Place = readonly number[]

/**
 * What a case did to the world. Lists are in the order of messages, routes and actions: routes run side by side, and which of them comes first is nothing
 * that a test should hang on.
 */
export interface Outcome {
  readonly broadcasts: readonly Recorded[]
  readonly invocations: readonly Recorded[]
  readonly emits: readonly Recorded[]
  /** Calls of `http` actions; each is answered with status 200 and no body. */
  readonly requests: readonly Recorded[]
  readonly deadLetters: readonly Recorded[]
}

export interface RecorderOptions {
  /** Several apps: a broadcast then says which. */
  readonly namesApp: boolean
  /** The broker of router.yaml: an emit to another one says so. */
  readonly defaultBroker: string
  /** A handler that runs for real; undefined where it could not be loaded. */
  readonly real: (module: string, exportName: string) => Handler | undefined
  readonly realBatch: (module: string, exportName: string) => BatchHandler | undefined
}

/** Longest wait for a handler that runs for real, in ms; after it, virtual time goes on and its time-out comes. */
const longestRealCallMs = 10_000

/** Stands where sockets, brokers and handlers are, and keeps what they are told. One case at a time. */
export class Recorder {
  readonly #options: RecorderOptions
  readonly ports: ActionPorts
  readonly #places = new AsyncLocalStorage<Place>()
  /** Inside a call with many messages: where each belongs, by `topic/offset`. */
  readonly #placesOfMany = new AsyncLocalStorage<ReadonlyMap<string, Place>>()
  #broadcasts: Placed<Recorded>[] = []
  #invocations: Placed<{ handler: string; attempts: number; details: Recorded; identity: string }>[] = []
  #emits: Placed<Recorded>[] = []
  #requests: Placed<Recorded>[] = []
  #deadLetters: Placed<Recorded>[] = []
  #placeOfLetter: (letter: DeadLetterRecord) => Place = () => []
  #mocks: ReadonlyMap<string, Mock> = new Map()
  readonly #calls = new Map<string, number>()
  readonly #pending = new Set<Promise<unknown>>()

  constructor(options: RecorderOptions) {
    this.#options = options
    this.ports = {
      broadcast: {
        hasSubscribers: () => true,
        broadcast: (app, channel, event, data, except) => {
          const extra = { ...(except === undefined ? {} : { except }), ...(options.namesApp ? { app } : {}) }
          this.#broadcasts.push(this.#placed({ channel, event, data: plain(data), ...extra }))
        },
      },
      emit: {
        emit: async (broker, record) => {
          this.#emits.push(this.#placed({ ...readRecord(record), ...(broker === options.defaultBroker ? {} : { broker }) }))
        },
      },
      handlers: {
        get: (module, exportName) => this.#handler(module, exportName),
        getBatch: (module, exportName) => this.#batchHandler(module, exportName),
      },
      http: {
        send: async ({ method, url, headers, body }) => {
          this.#requests.push(this.#placed({ method, url, headers, ...(body === undefined ? {} : { body: parsed(body) }) }))
          return { status: 200, headers: {}, body: null }
        },
      },
      log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    }
  }

  /** Forgets everything and answers for these handlers, by `module` or `module#export`. */
  start(mocks: ReadonlyMap<string, Mock>, placeOfLetter: (letter: DeadLetterRecord) => Place): void {
    this.#placeOfLetter = placeOfLetter
    this.#broadcasts = []
    this.#invocations = []
    this.#emits = []
    this.#requests = []
    this.#deadLetters = []
    this.#calls.clear()
    this.#mocks = mocks
  }

  /** Everything done inside, also later by what it started, belongs to this place. */
  within<T>(place: Place, run: () => T): T {
    return this.#places.run(place, run)
  }

  /** The same for a call with many messages: by `topic/offset`. */
  withinMany<T>(places: ReadonlyMap<string, Place>, run: () => T): T {
    return this.#placesOfMany.run(places, run)
  }

  readonly writeDeadLetter = async (letter: DeadLetterRecord): Promise<void> => {
    this.#deadLetters.push({ place: this.#placeOfLetter(letter), value: readDeadLetter(letter) })
  }

  get outcome(): Outcome {
    return {
      broadcasts: inOrder(this.#broadcasts),
      invocations: inOrder(this.#invocations).map(({ handler, attempts, details }) => ({ handler, ...details, attempts })),
      emits: inOrder(this.#emits),
      requests: inOrder(this.#requests),
      deadLetters: inOrder(this.#deadLetters),
    }
  }

  /** Resolves when no handler that runs for real is at work, or has been for too long. */
  async whenQuiet(): Promise<void> {
    while (this.#pending.size > 0) {
      let timer: NodeJS.Timeout | undefined
      const limit = new Promise<'late'>(resolve => {
        timer = setTimeout(() => resolve('late'), longestRealCallMs)
      })
      const end = await Promise.race([Promise.allSettled(this.#pending), limit])
      clearTimeout(timer)
      if (end === 'late') this.#pending.clear()
      // What waited for the handler goes on before it counts as quiet.
      await new Promise(resolve => setImmediate(resolve))
    }
  }

  #placed<T>(value: T): Placed<T> {
    return { place: this.#places.getStore() ?? [], value }
  }

  #handler(module: string, exportName: string): Handler | undefined {
    const name = exportName === 'default' ? module : `${module}#${exportName}`
    const mock = this.#mocks.get(name) ?? this.#mocks.get(module)
    const called = mock === undefined ? this.#options.real(module, exportName) : this.#mocked(name, mock)
    if (called === undefined) return undefined
    return (event, context) => {
      this.#note(name, event.event, event.data, context.with, context.attempt, context.idempotencyKey)
      return this.#awaited(called(event, context))
    }
  }

  /** A mock answers for each message by itself. */
  #batchHandler(module: string, exportName: string): BatchHandler | undefined {
    const name = exportName === 'default' ? module : `${module}#${exportName}`
    const mock = this.#mocks.get(name) ?? this.#mocks.get(module)
    const mocked = mock === undefined ? undefined : this.#mocked(name, mock)
    const called = mocked === undefined ? this.#options.realBatch(module, exportName) : eachByItself(mocked)
    if (called === undefined) return undefined
    return (items, context) => {
      const places = this.#placesOfMany.getStore()
      const placed = items.map(item => {
        const { event, context: of } = item
        const place = places?.get(`${event.topic}/${event.offset}`) ?? []
        this.within(place, () => this.#note(name, event.event, event.data, of.with, of.attempt, of.idempotencyKey))
        return { ...item, context: this.#contextAt(place, of) }
      })
      return this.#awaited(called(placed, context))
    }
  }

  /** What a batch handler does for one of its messages belongs to that message. */
  #contextAt(place: Place, context: HandlerContext): HandlerContext {
    // A spread copy has none of what a context makes when it is read.
    const { log, signal, attempt, idempotencyKey, with: parameters } = context
    return {
      log,
      signal,
      attempt,
      idempotencyKey,
      with: parameters,
      broadcast: (...given) => this.within(place, () => context.broadcast(...given)),
      emit: message => this.within(place, () => context.emit(message)),
    }
  }

  #awaited(result: unknown): unknown {
    if (result instanceof Promise) {
      const settled = result.catch(() => {}).finally(() => this.#pending.delete(settled))
      this.#pending.add(settled)
    }
    return result
  }

  #note(handler: string, event: string | undefined, data: unknown, parameters: Recorded, attempt: number, identity: string): void {
    const at = this.#places.getStore() ?? []
    const known = this.#invocations.findLast(
      ({ place, value }) => value.handler === handler && value.identity === identity && comparePlaces(place, at) === 0,
    )
    if (known !== undefined) {
      known.value.attempts = Math.max(known.value.attempts, attempt)
      return
    }
    const details = {
      ...(event === undefined ? {} : { event }),
      ...(data === undefined ? {} : { data: plain(data) }),
      ...(Object.keys(parameters).length === 0 ? {} : { with: plain(parameters) }),
    }
    this.#invocations.push(this.#placed({ handler, attempts: attempt, identity, details }))
  }

  #mocked(name: string, mock: Mock): Handler {
    return () => {
      const call = (this.#calls.get(name) ?? 0) + 1
      this.#calls.set(name, call)
      if (mock.throws !== undefined && call <= (mock.times ?? Number.POSITIVE_INFINITY)) throw errorOf(mock.throws)
      return structuredClone(mock.returns)
    }
  }
}

function eachByItself(handler: Handler): BatchHandler {
  return items =>
    items.map(({ event, context, fail }) => {
      try {
        return handler(event, context)
      } catch (error) {
        fail(error)
        return undefined
      }
    })
}

interface Placed<T> {
  readonly place: Place
  readonly value: T
}

/** Things of one place stay in the order of their happening. */
function inOrder<T>(placed: readonly Placed<T>[]): readonly T[] {
  return placed.toSorted((a, b) => comparePlaces(a.place, b.place)).map(({ value }) => value)
}

function comparePlaces(a: Place, b: Place): number {
  const at = a.findIndex((part, index) => part !== b[index])
  return at === -1 ? 0 : (a[at] ?? 0) - (b[at] ?? 0)
}

function errorOf(throws: NonNullable<Mock['throws']>): Error {
  const { name, message } = typeof throws === 'string' ? { name: undefined, message: throws } : throws
  if (name === 'PermanentError') return new PermanentError(message)
  const error = new Error(message)
  if (name !== undefined) error.name = name
  return error
}

function readRecord({ topic, key, value, headers }: OutgoingRecord): Recorded {
  const texts = Object.fromEntries(Object.entries(headers).map(([name, bytes]) => [name, bytes.toString('utf8')]))
  const { 'content-type': contentType, ...others } = texts
  const content = value === null ? null : parsed(value)
  const isMap = typeof content === 'object' && content !== null && !Array.isArray(content)
  const isCloudEvent = isMap && contentType?.startsWith('application/cloudevents') === true
  const fields = isCloudEvent
    ? { id: Reflect.get(content, 'id'), event: Reflect.get(content, 'type'), data: Reflect.get(content, 'data') ?? null }
    : isMap && 'data' in content && 'id' in content
      ? { id: content.id, ...('event' in content ? { event: content.event } : {}), data: content.data }
      : { data: content }
  const shown = isCloudEvent ? others : texts
  return { topic, key: key?.toString('utf8') ?? null, ...fields, ...(Object.keys(shown).length === 0 ? {} : { headers: shown }) }
}

function readDeadLetter({ topic, headers }: DeadLetterRecord): Recorded {
  const text = (name: string) => {
    const value = Object.hasOwn(headers, name) ? headers[name] : undefined
    return Buffer.isBuffer(value) ? value.toString('utf8') : undefined
  }
  const route = text('signalbox-route')
  const action = text('signalbox-action')
  return {
    topic,
    ...(route === undefined ? {} : { route }),
    ...(action === undefined ? {} : { action }),
    attempts: Number(text('signalbox-attempts')),
    type: text('kafka_dlt-exception-fqcn'),
    error: text('kafka_dlt-exception-message'),
  }
}

function parsed(value: Buffer): unknown {
  try {
    return JSON.parse(value.toString('utf8'))
  } catch {
    return value.toString('utf8')
  }
}

/** As a receiver would see it: a copy, after JSON. Bytes stay as they are. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array || value === undefined) return value
  const text = JSON.stringify(value)
  return text === undefined ? undefined : JSON.parse(text)
}
