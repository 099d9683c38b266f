/** Field letters of a date format with what they print; UTC. */
const fields: Readonly<Record<string, (date: Date) => string>> = {
  yyyy: date => pad(date.getUTCFullYear(), 4),
  yy: date => pad(date.getUTCFullYear() % 100, 2),
  MM: date => pad(date.getUTCMonth() + 1, 2),
  dd: date => pad(date.getUTCDate(), 2),
  HH: date => pad(date.getUTCHours(), 2),
  mm: date => pad(date.getUTCMinutes(), 2),
  ss: date => pad(date.getUTCSeconds(), 2),
  SSS: date => pad(date.getUTCMilliseconds(), 3),
}

/** The fields a format may use, for hints. */
export const dateFields = Object.keys(fields).join(' ')

/** Compiles `yyyy-MM-dd'T'HH:mm`: letters are fields, text in single quotes stands for itself. Undefined where a letter is no field. */
export function compileDateFormat(format: string): ((date: Date) => string) | undefined {
  const parts: ((date: Date) => string)[] = []
  for (const [token] of format.matchAll(/'[^']*'|([A-Za-z])\1*|[^A-Za-z']+|'/g)) {
    if (/^[A-Za-z]/.test(token)) {
      const field = Object.hasOwn(fields, token) ? fields[token] : undefined
      if (field === undefined) return undefined
      parts.push(field)
    } else if (token === "'") {
      return undefined
    } else {
      const text = token.startsWith("'") ? token.slice(1, -1) : token
      parts.push(() => text)
    }
  }
  return parts.length === 0 ? undefined : date => parts.map(part => part(date)).join('')
}

function pad(value: number, length: number): string {
  return String(value).padStart(length, '0')
}
