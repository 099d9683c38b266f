import { flowYaml } from './flow-yaml.ts'
import { isoInstant } from './iso-instant.ts'
import type { FieldFacts } from './schema-view.ts'
import { isMap } from './source-section.ts'

/** Why a line of a condition holds for no message at all. */
export interface NeverHolds {
  readonly message: string
  readonly hint: string
  /** The line contradicts itself; otherwise it contradicts the JSON Schema of the route's events. */
  readonly isContradiction: boolean
}

/** Looks at what stands under a path. Undefined where some message could pass. */
export function neverHolds(path: string, expected: unknown, facts: FieldFacts | undefined): NeverHolds | undefined {
  const contradiction = isMap(expected) ? contradictionOf(path, expected) : undefined
  if (contradiction !== undefined) return { ...contradiction, isContradiction: true }
  const mismatch = facts?.kind === 'declared' ? mismatchOf(path, expected, facts) : undefined
  return mismatch === undefined ? undefined : { ...mismatch, isContradiction: false }
}

type Reason = Pick<NeverHolds, 'message' | 'hint'>

const positive = ['gt', 'gte', 'lt', 'lte', 'prefix', 'suffix', 'contains', 'matches']

/** Why operators cannot all hold for one value. Undefined where they can, as far as is looked. */
export function contradictionOf(path: string, operators: Readonly<Record<string, unknown>>): Reason | undefined {
  const asks = positive.find(name => Object.hasOwn(operators, name))
  if (operators['exists'] === false && asks !== undefined)
    return { message: `No value of \`${path}\` passes: it must be missing and pass \`${asks}\``, hint: `Remove \`exists\` or \`${asks}\`` }
  const lower = bound(operators, 'gt', 'gte', Math.max)
  const upper = bound(operators, 'lt', 'lte', Math.min)
  if (lower === undefined || upper === undefined) return undefined
  if (lower.isTime !== upper.isTime)
    return { message: `No value passes ${flowYaml(operators)}`, hint: 'A number is never compared with a time: write both in one way' }
  const isEmpty = lower.value > upper.value || (lower.value === upper.value && (lower.isOpen || upper.isOpen))
  if (!isEmpty) return undefined
  return {
    message: `No ${lower.isTime ? 'time' : 'number'} passes ${flowYaml(operators)}`,
    hint: 'All operators of a map must hold: swap the bounds, or write any: for a choice',
  }
}

function bound(
  operators: Readonly<Record<string, unknown>>,
  open: string,
  closed: string,
  tighter: (a: number, b: number) => number,
): Bound | undefined {
  const [a, b] = [readBound(operators[open], true), readBound(operators[closed], false)]
  if (a === undefined || b === undefined) return a ?? b
  return tighter(a.value, b.value) === a.value ? a : b
}

interface Bound {
  readonly value: number
  readonly isOpen: boolean
  readonly isTime: boolean
}

function readBound(operand: unknown, isOpen: boolean): Bound | undefined {
  const value = typeof operand === 'string' ? isoInstant(operand) : operand
  return typeof value === 'number' ? { value, isOpen, isTime: typeof operand === 'string' } : undefined
}

type Declared = Extract<FieldFacts, { kind: 'declared' }>

function mismatchOf(path: string, expected: unknown, facts: Declared): Reason | undefined {
  if (isMap(expected)) return operatorMismatch(path, expected, facts)
  const wanted = Array.isArray(expected) ? expected : [expected]
  if (wanted.length === 0 || wanted.some(value => mayBe(value, facts))) return undefined
  const allowed = facts.values ?? [...(facts.types ?? [])]
  const says = facts.values === undefined ? `says it is ${allowed.join(' or ')}` : `allows only ${flowYaml(allowed)}`
  return { message: `\`${path}\` is never ${flowYaml(expected)}: the schema ${says}`, hint: suggestion(wanted, facts) }
}

function suggestion(wanted: readonly unknown[], { types, values }: Declared): string {
  if (values !== undefined) return 'Use one of the values that the schema allows'
  const [first] = wanted
  if (typeof first === 'string' && first.trim() !== '' && Number.isFinite(Number(first)) && (types?.has('number') || types?.has('integer')))
    return `Write the number without quotes: ${first}`
  return typeof first === 'number' && types?.has('string') === true
    ? `Write a text: "${first}"`
    : 'No text is taken for a number, nor the other way round'
}

function mayBe(value: unknown, { types, values }: Declared): boolean {
  if (values !== undefined) return values.includes(value)
  if (types === undefined) return true
  const type = value === null ? 'null' : typeof value
  return types.has(type) || (type === 'number' && types.has('integer') && Number.isInteger(value))
}

const needs: Readonly<Record<string, readonly string[]>> = {
  prefix: ['string'],
  suffix: ['string'],
  matches: ['string'],
  contains: ['string', 'array'],
}

function operatorMismatch(path: string, operators: Readonly<Record<string, unknown>>, { types }: Declared): Reason | undefined {
  if (types === undefined) return undefined
  for (const [name, operand] of Object.entries(operators)) {
    const comparable = typeof operand === 'number' ? ['number', 'integer'] : typeof operand === 'string' ? ['string'] : undefined
    const wanted = ['gt', 'gte', 'lt', 'lte'].includes(name) ? comparable : Object.hasOwn(needs, name) ? needs[name] : undefined
    if (wanted === undefined || wanted.some(type => types.has(type))) continue
    return {
      message: `\`${name}: ${flowYaml(operand)}\` never holds for \`${path}\`: the schema says it is ${[...types].join(' or ')}`,
      hint:
        name in needs
          ? `\`${name}\` takes ${wanted.join(' or ')}`
          : 'Numbers compare with numbers, ISO timestamps given as text with each other',
    }
  }
  return undefined
}
