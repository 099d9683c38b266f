import { didYouMean } from '../config/did-you-mean.ts'
import { parseDuration } from '../config/duration.ts'
import { parseSize } from '../config/size.ts'
import type { ValuePath } from '../config/source-document.ts'
import type { DocumentReport } from './document-report.ts'

/**
 * A map of a document, read key by key. A key that is absent, or where the schema check already reported a problem, reads as
 * undefined; one with a value of the wrong kind is reported here and reads as undefined.
 */
export class SourceSection {
  readonly report: DocumentReport
  readonly path: ValuePath
  readonly #map: Readonly<Record<string, unknown>>

  constructor(report: DocumentReport, path: ValuePath, value: unknown) {
    this.report = report
    this.path = path
    this.#map = isMap(value) ? value : {}
  }

  keys(): readonly string[] {
    return Object.keys(this.#map)
  }

  has(key: string): boolean {
    return Object.hasOwn(this.#map, key)
  }

  /** The raw value, whether the schema check liked it or not. */
  value(key: string): unknown {
    return this.has(key) ? this.#map[key] : undefined
  }

  pathOf(key: string): ValuePath {
    return [...this.path, key]
  }

  /** False where the key is absent or the schema check has reported it. */
  isReadable(key: string): boolean {
    return this.has(key) && this.report.document.isSound(this.pathOf(key))
  }

  text(key: string): string | undefined {
    return this.#read(key, 'a text', value => (typeof value === 'string' ? value : undefined))
  }

  flag(key: string): boolean | undefined {
    return this.#read(key, 'true or false', value => (typeof value === 'boolean' ? value : undefined))
  }

  /** A whole number of at least 1. */
  count(key: string): number | undefined {
    return this.#read(key, 'a whole number of at least 1', value =>
      typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 ? value : undefined,
    )
  }

  /** In ms. */
  duration(key: string): number | undefined {
    return this.#read(key, 'a duration such as 500ms, 5s or 2m', value => (typeof value === 'string' ? parseDuration(value) : undefined))
  }

  /** In bytes. */
  size(key: string): number | undefined {
    return this.#read(key, 'a size such as 64kb or 1mb', value => (typeof value === 'string' ? parseSize(value) : undefined))
  }

  oneOf<const T extends string>(key: string, allowed: readonly T[]): T | undefined {
    const near = (value: unknown) => (typeof value === 'string' ? didYouMean(value, allowed) : undefined)
    return this.#read(key, `one of ${allowed.join(', ')}`, value => allowed.find(name => name === value), near)
  }

  /** The map under `key`; an empty one where there is none. Problems inside it do not make it unreadable as a whole. */
  section(key: string): SourceSection {
    return new SourceSection(this.report, this.pathOf(key), this.value(key))
  }

  /** The elements of a list, or a single value as a list of one; each with its path. */
  elements(key: string): readonly { readonly path: ValuePath; readonly value: unknown }[] {
    const value = this.value(key)
    if (value === undefined) return []
    if (!Array.isArray(value)) return [{ path: this.pathOf(key), value }]
    return value.map((element: unknown, index) => ({ path: [...this.pathOf(key), index], value: element }))
  }

  #read<T>(
    key: string,
    expected: string,
    parse: (value: unknown) => T | undefined,
    nearest?: (value: unknown) => string | undefined,
  ): T | undefined {
    if (!this.isReadable(key)) return undefined
    const value = this.#map[key]
    const parsed = parse(value)
    if (parsed !== undefined) return parsed
    const near = nearest?.(value)
    this.report.at(
      this.pathOf(key),
      'schema-type',
      `\`${key}\` must be ${expected}`,
      near === undefined ? undefined : `Did you mean \`${near}\`?`,
    )
    return undefined
  }
}

export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
