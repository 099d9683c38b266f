import { flowYaml } from './flow-yaml.ts'
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

function contradictionOf(path: string, operators: Readonly<Record<string, unknown>>): Reason | undefined {
  const asks = positive.find(name => Object.hasOwn(operators, name))
  if (operators['exists'] === false && asks !== undefined)
    return { message: `No value of \`${path}\` passes: it must be missing and pass \`${asks}\``, hint: `Remove \`exists\` or \`${asks}\`` }
  const lower = bound(operators, 'gt', 'gte', Math.max)
  const upper = bound(operators, 'lt', 'lte', Math.min)
  if (lower === undefined || upper === undefined) return undefined
  const isEmpty = lower.value > upper.value || (lower.value === upper.value && (lower.isOpen || upper.isOpen))
  if (!isEmpty) return undefined
  return {
    message: `No number passes ${flowYaml(operators)}`,
    hint: 'All operators of a map must hold: swap the bounds, or write any: for a choice',
  }
}

function bound(
  operators: Readonly<Record<string, unknown>>,
  open: string,
  closed: string,
  tighter: (a: number, b: number) => number,
): { readonly value: number; readonly isOpen: boolean } | undefined {
  const [a, b] = [operators[open], operators[closed]]
  if (typeof a !== 'number') return typeof b === 'number' ? { value: b, isOpen: false } : undefined
  return typeof b === 'number' && tighter(a, b) !== a ? { value: b, isOpen: false } : { value: a, isOpen: true }
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
