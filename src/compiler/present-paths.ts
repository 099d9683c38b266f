import { isMap } from './source-section.ts'

/** Paths that must have a value (not missing, not null) wherever this condition, as written, holds. */
export function presentPaths(when: unknown): readonly string[] {
  if (!isMap(when)) return []
  return Object.entries(when).flatMap(([key, expected]) => {
    if (key === 'all') return Array.isArray(expected) ? expected.flatMap(presentPaths) : []
    if (key === 'any' || key === 'not') return []
    return needsValue(expected) ? [key] : []
  })
}

function needsValue(expected: unknown): boolean {
  if (Array.isArray(expected)) return !expected.includes(null)
  if (!isMap(expected)) return expected !== null
  // `exists: true` lets null pass: whoever writes it has thought of the field, and a null is dead-lettered with its reason.
  return (
    Object.entries(expected).some(([operator, operand]) => operator !== 'not' && !(operator === 'exists' && operand === false)) ||
    ('not' in expected && expected['not'] === null)
  )
}
