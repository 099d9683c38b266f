import type { ErrorObject } from 'ajv/dist/2020.js'
import type { OpenDocument } from './open-document.ts'
import type { ValuePath } from './source-document.ts'

const typeWords: ReadonlyMap<string, string> = new Map([
  ['string', 'text'],
  ['integer', 'a whole number'],
  ['number', 'a number'],
  ['boolean', 'true or false'],
  ['array', 'a list'],
  ['object', 'a map'],
  ['null', 'empty'],
])

/** `a whole number`, `text or a list`. */
export function expectedTypes(type: unknown, schema: Readonly<Record<string, unknown>>): string {
  const words = [type].flat().map(name => typeWords.get(String(name)) ?? String(name))
  const title = schema['type'] === 'object' && typeof schema['title'] === 'string' ? ` (${schema['title']})` : ''
  return orList(words) + title
}

/** `fixed, linear or exponential` */
export function orList(words: readonly string[]): string {
  const first = words.slice(0, -1).join(', ')
  return `${first === '' ? '' : `${first} or `}${words.at(-1) ?? ''}`
}

/** What the value must be, for checks other than its type. */
export function expectedByKeyword({ keyword, params }: ErrorObject): string {
  const limit = Number(params['limit'])
  switch (keyword) {
    case 'minimum':
      return `at least ${limit}`
    case 'maximum':
      return `at most ${limit.toLocaleString('en')}`
    case 'maxLength':
      return `at most ${limit} characters`
    case 'maxItems':
      return `at most ${limit.toLocaleString('en')} elements`
    case 'maxProperties':
      return `at most ${limit.toLocaleString('en')} keys`
    default:
      return 'another value'
  }
}

/** What stands in the file, without ever showing a value of the environment. */
export function actualValue(open: OpenDocument, path: ValuePath): string {
  const node = open.nodeAt(path)
  const target = node?.kind === 'alias' ? node.target : node
  if (target === undefined) return 'this'
  if (target.kind === 'list') return target.items.length === 0 ? 'an empty list' : target.items.length > 100 ? 'a longer list' : 'a list'
  if (target.kind === 'map') return target.entries.size === 0 ? 'an empty map' : target.entries.size > 100 ? 'a larger map' : 'a map'
  if (target.resolved === null) return target.text === '' ? 'empty' : 'null'
  if (open.isFromEnvironment(path)) return `the value of \`${clip(target.text)}\``
  if (typeof target.resolved !== 'string') return typeof target.resolved === 'number' ? `the number ${clip(target.text)}` : target.text
  return target.text === '' ? 'empty text' : `the text \`${clip(target.text)}\``
}

function clip(text: string): string {
  const line = text.replace(/\s+/g, ' ')
  return line.length > 40 ? `${line.slice(0, 39)}…` : line
}
