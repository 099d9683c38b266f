export type Environment = Readonly<Record<string, string | undefined>>

export type Interpolation =
  | {
      readonly kind: 'text'
      readonly text: string
      /** The whole value is one reference: it may take another type than text. */
      readonly lone: boolean
      /** Values taken from the environment (defaults stand in the file for everybody to read). */
      readonly taken: readonly string[]
    }
  | { readonly kind: 'unset'; readonly name: string; readonly index: number; readonly length: number }
  | { readonly kind: 'malformed'; readonly written: string; readonly index: number }

const reference = /\$(\$\{)|\$\{([^}]*)(\}?)/g
const body = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s

/**
 * Replaces `${NAME}` and `${NAME:-default}`; `$${` stands for a literal `${`. The default also holds where the variable is set and empty, as in a
 * shell. Undefined where the text has no reference.
 */
export function interpolate(text: string, env: Environment): Interpolation | undefined {
  if (!text.includes('${')) return undefined
  const taken: string[] = []
  let result = ''
  let lone = false
  let end = 0
  for (const match of text.matchAll(reference)) {
    const written = match[0]
    result += text.slice(end, match.index)
    end = match.index + written.length
    if (match[1] !== undefined) {
      result += '${'
      continue
    }
    const [, name, fallback] = (match[3] === '}' && body.exec(match[2] ?? '')) || []
    if (name === undefined) return { kind: 'malformed', written, index: match.index }
    const value = Object.hasOwn(env, name) ? env[name] : undefined
    const chosen = fallback === undefined ? value : value || fallback
    if (chosen === undefined) return { kind: 'unset', name, index: match.index, length: written.length }
    if (chosen === value && value !== '') taken.push(value)
    result += chosen
    lone = written.length === text.length
  }
  return { kind: 'text', text: result + text.slice(end), lone, taken }
}
