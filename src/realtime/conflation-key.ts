import type { ConflateRule } from '../config/router-config.ts'
import type { ByteString } from './frame.ts'
import { isObject } from './json-fields.ts'

/** Of events with one key only the latest counts: one for each name, as JSON, and each value that the rule's `by` names. */
export function conflationKey(event: ByteString, text: string, { by }: ConflateRule): string {
  return event + valueAt(text, by)
}

/** The value that a rule's `by` names, as text; data without it is one value of its own. */
function valueAt(text: string, by: readonly string[] | undefined): string {
  if (by === undefined) return ''
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return ''
  }
  for (const key of by) {
    if (Array.isArray(value)) value = /^\d+$/.test(key) ? value[Number(key)] : undefined
    else value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
  }
  return JSON.stringify(value) ?? ''
}
