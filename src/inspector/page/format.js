export function clockTime(at) {
  const date = new Date(at)
  const two = number => String(number).padStart(2, '0')
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, '0')}`
}

export function duration(ms) {
  if (ms === null) return ''
  if (ms < 10) return `${ms.toFixed(1)} ms`
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}

export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString()} ${number === 1 ? one : many}`
}

/** Of a message or an action: a sign, so that colour is not all that tells, and the words for it. */
export const stateSigns = {
  running: ['◌', 'running'],
  retrying: ['↻', 'waits for a retry'],
  waiting: ['↻', 'waits for a retry'],
  done: ['✓', 'done'],
  skipped: ['–', 'skipped'],
  'left-out': ['–', 'no route took it'],
  'dead-lettered': ['✕', 'dead-lettered'],
  failed: ['✕', 'failed'],
  released: ['↺', 'released: it will be delivered again'],
}

/** JSON with indents where the text is whole JSON, else the text as it is. */
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}

/** A hue that belongs to the name. */
export function hueOf(name) {
  let hash = 0
  for (const character of name) hash = (hash * 31 + character.charCodeAt(0)) % 4096
  return (hash * 137) % 360
}

/** The route's name without its file, where that is clear from the rest. */
export function shortRoute(id) {
  return id.slice(id.lastIndexOf('/') + 1)
}
