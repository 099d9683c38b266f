import { posix } from 'node:path'
import type { RoutingPlan } from '../compiler/plan.ts'
import type { SourceDocument, ValuePath } from '../config/source-document.ts'

/** One case of a `*.test.yaml`, as its schema has checked it. */
export interface TestCase {
  readonly name: string
  /** Where it stands in its document. */
  readonly path: ValuePath
  readonly given: readonly GivenMessage[]
  /** By the handler's path as written. */
  readonly mocks: Readonly<Record<string, Mock>>
  readonly expect: Readonly<Record<string, unknown>>
}

export interface GivenMessage {
  readonly topic?: string
  readonly event?: string
  readonly data?: unknown
  readonly id?: string
  readonly source?: string
  readonly key?: string
  readonly headers?: Readonly<Record<string, string | number | boolean>>
  readonly timestamp?: string
  /** The whole value instead of event, data and id. */
  readonly value?: unknown
}

export interface Mock {
  readonly returns?: unknown
  readonly throws?: string | { readonly name?: string; readonly message: string }
  readonly times?: number
}

interface TestDocument {
  readonly tests: readonly {
    readonly name: string
    readonly given: GivenMessage | readonly GivenMessage[]
    readonly mocks?: Readonly<Record<string, Mock>>
    readonly expect: Readonly<Record<string, unknown>>
  }[]
}

/** The cases of a document without problems. */
export function casesOf(document: SourceDocument): readonly TestCase[] {
  if (!isTestDocument(document.value)) return []
  return document.value.tests.map(({ name, given, mocks = {}, expect }, index) => ({
    name,
    path: ['tests', index],
    given: isList(given) ? given : [given],
    mocks,
    expect,
  }))
}

export type CompleteMessage = GivenMessage & { readonly topic: string }

/** Messages with their topics: those written, else the first of the route file beside the test file. Undefined where one has none. */
export function completeGiven(plan: RoutingPlan, file: string, given: readonly GivenMessage[]): readonly CompleteMessage[] | undefined {
  const first = plan.subscriptions.find(({ name }) => name === besideSubscription(file))?.topics.names[0]
  const complete = given.flatMap(message => {
    const topic = message.topic ?? first
    return topic === undefined ? [] : [{ ...message, topic }]
  })
  return complete.length === given.length ? complete : undefined
}

/** The subscription that a test file stands beside: `routes/shop/orders.test.yaml` is for `shop/orders`. */
function besideSubscription(file: string): string {
  return file.replace(/^routes\//, '').replace(/\.test\.(?:ya?ml|json)$/, '')
}

/** Handlers that a path in a test file may mean: relative to the file, or to the project's root. */
export function handlerNames(file: string, written: string): readonly string[] {
  return [posix.normalize(posix.join(posix.dirname(file), written)), posix.normalize(written)]
}

/** The schema check has looked at everything below. */
function isTestDocument(value: unknown): value is TestDocument {
  return typeof value === 'object' && value !== null && 'tests' in value && Array.isArray(value.tests)
}

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value)
}
