/** The fields of a JSON object that a stranger sent: read them as own properties only. */
export type Fields = Readonly<Record<string, unknown>>

export function parseObject(text: string): Fields | undefined {
  const value = parseValue(text)
  return isObject(value) ? value : undefined
}

/** Undefined where the text is not JSON. */
export function parseValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export function ownValue(fields: Fields, key: string): unknown {
  return Object.hasOwn(fields, key) ? fields[key] : undefined
}

export function ownText(fields: Fields, key: string): string | undefined {
  const value = ownValue(fields, key)
  return typeof value === 'string' ? value : undefined
}

export function ownObject(fields: Fields, key: string): Fields | undefined {
  const value = ownValue(fields, key)
  return isObject(value) ? value : undefined
}

export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
