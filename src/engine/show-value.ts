/** Longest value that is shown whole. */
const limit = 120

/** A value of a message for a sentence: as JSON, clipped; what JSON cannot say in words. */
export function showValue(value: unknown): string {
  if (value === undefined) return 'missing'
  if (value instanceof Uint8Array) return `${value.byteLength} bytes`
  const text = JSON.stringify(value) ?? String(value)
  return text.length > limit ? `${text.slice(0, limit)}…` : text
}
