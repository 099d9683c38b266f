const replacement = '[redacted]'

/** Shorter values hide nothing, and replacing them would make every line unreadable: a port, a digit, a boolean. */
const shortestSecret = 4

/** Keys that pino writes itself; a secret that happens to look like them must not break the line. */
const ownKeys: ReadonlySet<string> = new Set(['level', 'time'])

/**
 * Makes a function that takes one line of JSON and gives it back with every secret replaced, inside texts, keys and numbers. Works on the
 * parsed line, so that what comes out is valid JSON whatever the secrets are. A line without any secret costs one search per secret.
 */
export function createRedactor(secrets: () => readonly string[]): (line: string) => string {
  let known: readonly string[] | undefined
  let count = 0
  let needles: Needles = { inText: [], inLine: [] }
  return line => {
    const current = secrets()
    if (current !== known || current.length !== count) {
      known = current
      count = current.length
      needles = needlesOf(current)
    }
    if (!needles.inLine.some(needle => line.includes(needle))) return line
    return `${JSON.stringify(redactValue(JSON.parse(line), needles.inText, true))}\n`
  }
}

interface Needles {
  /** As they stand in a text, longest first: one secret may be part of another. */
  readonly inText: readonly string[]
  /** As they stand in a line of JSON. */
  readonly inLine: readonly string[]
}

/** A secret is looked for as it is and as it reads inside JSON that was itself put into a text, such as a printed response body. */
function needlesOf(secrets: readonly string[]): Needles {
  const worth = secrets.filter(secret => secret.length >= shortestSecret)
  const inText = [...new Set(worth.flatMap(secret => [secret, escaped(secret)]))].sort((a, b) => b.length - a.length)
  return { inText, inLine: [...new Set(inText.map(escaped))] }
}

function escaped(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}

function redactValue(value: unknown, secrets: readonly string[], top: boolean): unknown {
  if (typeof value === 'string') return redactText(value, secrets)
  if (typeof value === 'number') return secrets.includes(String(value)) ? replacement : value
  if (Array.isArray(value)) return value.map(item => redactValue(item, secrets, false))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) =>
      top && ownKeys.has(key) ? [key, inner] : [redactText(key, secrets), redactValue(inner, secrets, false)],
    ),
  )
}

/** The text with every secret in it replaced. */
export function redactText(text: string, secrets: readonly string[]): string {
  let result = text
  for (const secret of secrets) result = result.replaceAll(secret, replacement)
  return result
}
