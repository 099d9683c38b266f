const plainText = /^[A-Za-z_/][\w./-]*$/
const readAsOther = /^(?:true|false|null|yes|no|on|off|~)$/i

/** A value on one line, as a person would write it in YAML: `{ gte: 100 }`, `[paid, shipped]`. */
export function flowYaml(value: unknown): string {
  if (typeof value === 'string') return plainText.test(value) && !readAsOther.test(value) ? value : JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(flowYaml).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([key, inner]) => `${flowYaml(key)}: ${flowYaml(inner)}`)
    return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`
  }
  return String(value)
}
