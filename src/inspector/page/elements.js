/** The element with this id; the page always has it. */
export function byId(id) {
  const found = document.getElementById(id)
  if (found === null) throw new Error(`the page has no #${id}`)
  return found
}

/** What the server wrote into the page for its scripts. */
export function setting(name) {
  return document.querySelector(`meta[name="signalbox-${name}"]`)?.getAttribute('content') ?? ''
}

/** Makes an element. Texts are only ever inserted as text: events come from strangers. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...children)
  return made
}

/** A dot in a colour that belongs to the channel's name. */
export function dotFor(channel) {
  const dot = element('span', { class: 'dot', 'aria-hidden': 'true' })
  let hash = 0
  for (const character of channel) hash = (hash * 31 + character.charCodeAt(0)) % 4096
  dot.style.setProperty('--hue', String((hash * 137) % 360))
  return dot
}

export function clockTime(at) {
  const date = new Date(at)
  const two = number => String(number).padStart(2, '0')
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, '0')}`
}
