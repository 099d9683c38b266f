import { parseDuration } from './duration.ts'
import { splitList } from './schema-validator.ts'
import { parseSize } from './size.ts'
import type { SourceDocument, ValuePath } from './source-document.ts'

/** Reads checked values of router.yaml: a value of another type is one that the schema has reported. */
export class ConfigReader {
  readonly document: SourceDocument | undefined

  constructor(document: SourceDocument | undefined) {
    this.document = document
  }

  value(path: ValuePath): unknown {
    let value = this.document?.value
    for (const part of path)
      value = typeof value === 'object' && value !== null && Object.hasOwn(value, part) ? Reflect.get(value, part) : undefined
    return value
  }

  text(path: ValuePath): string | undefined {
    const value = this.value(path)
    return typeof value === 'string' && value !== '' ? value : undefined
  }

  number(path: ValuePath, fallback: number): number {
    const value = this.value(path)
    return typeof value === 'number' ? value : fallback
  }

  optionalNumber(path: ValuePath): number | undefined {
    const value = this.value(path)
    return typeof value === 'number' ? value : undefined
  }

  duration(path: ValuePath, fallback: number): number {
    return parseDuration(this.text(path) ?? '') ?? fallback
  }

  size(path: ValuePath, fallback: number): number {
    return parseSize(this.text(path) ?? '') ?? fallback
  }

  /** A list of texts, or one text with commas. */
  texts(path: ValuePath): readonly string[] | undefined {
    const value = this.value(path)
    if (typeof value === 'string') return splitList(value)
    return Array.isArray(value) ? value.filter(element => typeof element === 'string') : undefined
  }

  map(path: ValuePath): Readonly<Record<string, unknown>> | undefined {
    const value = this.value(path)
    return isMap(value) ? value : undefined
  }
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
