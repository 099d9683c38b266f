import type { ValuePath } from '../config/source-document.ts'
import type { CaseOutcome } from './run-case.ts'
import { handlerNames } from './test-file.ts'

/** An expectation that does not hold. */
export interface Mismatch {
  /** Where it stands, below the case's `expect`. */
  readonly path: ValuePath
  readonly expected: unknown
  /** Undefined where there is nothing. */
  readonly actual: unknown
  readonly message: string
}

/** Compares what happened with what was expected; what is not listed is not looked at. `file` is the test file. */
export function compareOutcome(expected: Readonly<Record<string, unknown>>, outcome: CaseOutcome, file: string): readonly Mismatch[] {
  const isExact = expected['exact'] === true
  return Object.entries(expected).flatMap(([key, wanted]) => {
    if (key === 'exact') return []
    const actual = actualFor(key, outcome)
    if (!Array.isArray(wanted)) return compareValues([key], wanted, actual, isExact)
    return compareLists(key, wanted, Array.isArray(actual) ? actual : [], { isExact, file })
  })
}

function actualFor(key: string, outcome: CaseOutcome): unknown {
  const { routes, broadcasts, invocations, emits, requests, attempts, deadLetters, skipped } = outcome
  const all: Readonly<Record<string, unknown>> = { routes, broadcasts, invocations, emits, requests, attempts, deadLetters, skipped }
  return all[key]
}

interface ListOptions {
  readonly isExact: boolean
  readonly file: string
}

/** Exact in length and order; each element as far as it is written, or whole under `exact`. */
function compareLists(key: string, wanted: readonly unknown[], actual: readonly unknown[], options: ListOptions): readonly Mismatch[] {
  const mismatches: Mismatch[] = []
  for (const [index, element] of wanted.entries()) {
    if (index >= actual.length) {
      const message = `${key}[${index}] did not happen: there ${actual.length === 1 ? 'is' : 'are'} ${actual.length}`
      mismatches.push({ path: [key, index], expected: element, actual: undefined, message })
    } else
      mismatches.push(...compareValues([key, index], named(key, element, actual[index], options), actual[index], options.isExact, true))
  }
  const more = actual.slice(wanted.length)
  if (more.length > 0)
    mismatches.push({ path: [key], expected: wanted, actual: more, message: `${key}: ${more.length} more than expected` })
  return mismatches
}

/** Routes and handlers may be written short: the name in the file, the path relative to the test. */
function named(key: string, wanted: unknown, actual: unknown, { file }: ListOptions): unknown {
  if (key === 'routes' && typeof wanted === 'string' && typeof actual === 'string' && actual.endsWith(`/${wanted}`)) return actual
  if (typeof wanted !== 'object' || wanted === null || typeof actual !== 'object' || actual === null) return wanted
  if (key === 'invocations' && 'handler' in wanted && typeof wanted.handler === 'string' && 'handler' in actual) {
    const { handler } = actual
    return typeof handler === 'string' && handlerNames(file, wanted.handler).includes(handler) ? { ...wanted, handler } : wanted
  }
  if (key === 'deadLetters' && 'route' in wanted && typeof wanted.route === 'string' && 'route' in actual)
    return typeof actual.route === 'string' && actual.route.endsWith(`/${wanted.route}`) ? { ...wanted, route: actual.route } : wanted
  return wanted
}

function compareValues(path: ValuePath, wanted: unknown, actual: unknown, isExact: boolean, isElement = false): readonly Mismatch[] {
  if (Array.isArray(wanted) && Array.isArray(actual) && wanted.length === actual.length)
    return wanted.flatMap((element, index) => compareValues([...path, index], element, actual[index], isExact))
  if (isMap(wanted) && isMap(actual)) {
    const inner = Object.entries(wanted).flatMap(([key, value]) =>
      compareValues([...path, key], value, Object.hasOwn(actual, key) ? actual[key] : undefined, isExact),
    )
    const extra = isExact ? Object.keys(actual).filter(key => !Object.hasOwn(wanted, key)) : []
    const more = extra.map(key => ({
      path,
      expected: undefined,
      actual: actual[key],
      message: `${showPath([...path, key])} was not expected${isElement ? ' (exact: true)' : ''}`,
    }))
    return [...inner, ...more]
  }
  if (Object.is(wanted, actual)) return []
  return [{ path, expected: wanted, actual, message: `${showPath(path)} is ${actual === undefined ? 'missing' : 'different'}` }]
}

/** `broadcasts[0].data.order` */
function showPath(path: ValuePath): string {
  return path.map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`)).join('')
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
}
