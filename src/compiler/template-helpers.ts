import { createHash } from 'node:crypto'
import { compileDateFormat, dateFields } from './date-format.ts'
import { isoInstant } from './iso-instant.ts'
import { type Template, TemplateError } from './scope.ts'
import { UnknownValue } from './unknown-value.ts'

/** A helper's argument, compiled. `literal` is set for one written into the template. */
export interface HelperArgument {
  readonly text: string
  readonly read: Template<unknown>
  readonly literal: string | number | boolean | null | undefined
  readonly canFail: boolean
}

export interface CompiledValue {
  readonly read: Template<unknown>
  /** True where reading can throw for some message. */
  readonly canFail: boolean
}

interface Helper {
  /** For messages: `default value fallback`. */
  readonly usage: string
  readonly arity: number
  /** Returns a sentence where an argument written into the template cannot work. */
  compile(args: readonly HelperArgument[], template: string): CompiledValue | string
}

/**
 * The pure helpers of the route language. A missing or null value stays missing or null through all of them but `default`, so
 * that the place where it ends up decides; a value of a kind they cannot take throws TemplateError.
 */
const helpers: Readonly<Record<string, Helper>> = {
  lower: onText('lower', text => text.toLowerCase()),
  upper: onText('upper', text => text.toUpperCase()),
  slug: onText('slug', slug),
  hash: onText('hash', text => createHash('sha256').update(text, 'utf8').digest('hex')),
  json: { usage: 'json value', arity: 1, compile: compileJson },
  default: { usage: 'default value fallback', arity: 2, compile: compileDefault },
  date: { usage: 'date value "yyyy-MM-dd"', arity: 2, compile: compileDate },
}

export const helperNames = Object.keys(helpers)

export function findHelper(name: string): Helper | undefined {
  return Object.hasOwn(helpers, name) ? helpers[name] : undefined
}

function onText(name: string, change: (text: string) => string): Helper {
  return {
    usage: `${name} value`,
    arity: 1,
    compile([argument], template) {
      if (argument === undefined) return `${name} takes one value`
      const { read, text } = argument
      return {
        canFail: true,
        read: scope => {
          const value = read(scope)
          if (typeof value === 'string') return change(value)
          if (value === undefined || value === null) return value
          if (typeof value === 'number' || typeof value === 'boolean') return change(String(value))
          if (value instanceof UnknownValue) return value
          throw new TemplateError(`${text} is ${kindOf(value)}, and ${name} takes text`, template)
        },
      }
    },
  }
}

/** Letters that no decomposition turns into ASCII. */
const asciiSpelling: Readonly<Record<string, string>> = { ß: 'ss', æ: 'ae', œ: 'oe', ø: 'o', ł: 'l', đ: 'd', þ: 'th', ı: 'i' }

/** ASCII only, so that it can stand in every name; a text without any such letter becomes empty, which names refuse. */
function slug(text: string): string {
  return text
    .toLowerCase()
    .replace(/[ßæœøłđþı]/g, letter => asciiSpelling[letter] ?? '')
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
}

function compileJson([argument]: readonly HelperArgument[], template: string): CompiledValue | string {
  if (argument === undefined) return 'json takes one value'
  const { read, text } = argument
  return {
    canFail: true,
    read: scope => {
      const value = read(scope)
      if (value instanceof UnknownValue) return value
      if (value instanceof Uint8Array) throw new TemplateError(`${text} is binary and cannot be written as JSON`, template)
      try {
        return JSON.stringify(value)
      } catch (error) {
        throw new TemplateError(`${text} cannot be written as JSON: ${error instanceof Error ? error.message : String(error)}`, template)
      }
    },
  }
}

function compileDefault([value, fallback]: readonly HelperArgument[]): CompiledValue | string {
  if (value === undefined || fallback === undefined) return 'default takes a value and what to use without it'
  return { canFail: value.canFail || fallback.canFail, read: scope => value.read(scope) ?? fallback.read(scope) }
}

function compileDate([value, format]: readonly HelperArgument[], template: string): CompiledValue | string {
  if (value === undefined || format === undefined || typeof format.literal !== 'string')
    return 'the format of date must be a text in quotes'
  const print = compileDateFormat(format.literal)
  if (print === undefined)
    return `\`${format.literal}\` is not a date format: its fields are ${dateFields}, other letters go in single quotes`
  const { read, text } = value
  return {
    canFail: true,
    read: scope => {
      const given = read(scope)
      if (given === undefined || given === null || given instanceof UnknownValue) return given
      const instant = typeof given === 'string' ? isoInstant(given) : typeof given === 'number' ? given : undefined
      const date = new Date(instant ?? Number.NaN)
      if (Number.isNaN(date.getTime())) throw new TemplateError(`${text} is neither epoch milliseconds nor an ISO timestamp`, template)
      return print(date)
    },
  }
}

/** `an object`, `a list`: what a value is, for messages. */
export function kindOf(value: unknown): string {
  if (value === undefined) return 'missing'
  if (value === null) return 'null'
  if (value instanceof Uint8Array) return 'binary'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'an object'
  if (typeof value === 'string') return value === '' ? 'an empty text' : 'a text'
  if (typeof value === 'number') return Number.isFinite(value) ? 'a number' : 'not a finite number'
  return `a ${typeof value}`
}
