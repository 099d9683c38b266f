import { byId, clockTime, dotFor, element } from './elements.js'

const mostEvents = 200
const previewLength = 160

/** Events as they arrive, newest first; the page never holds more than 200. Many in one frame cost one repaint. */
export function createEventList() {
  const list = byId('events')
  const shown = []
  let waiting = []
  let total = 0
  let paused = false
  let channel
  let words = ''
  let painting = false

  const fits = entry => (channel === undefined || entry.channel === channel) && (words === '' || entry.text.includes(words))

  function paint() {
    painting = false
    byId('event-count').textContent = total.toLocaleString()
    byId('pause').textContent = paused && waiting.length > 0 ? `Go on (${waiting.length})` : paused ? 'Go on' : 'Pause'
    if (paused) return
    for (const entry of waiting) {
      entry.row = rowOf(entry)
      entry.row.hidden = !fits(entry)
      list.prepend(entry.row)
      shown.push(entry)
    }
    waiting = []
    for (const entry of shown.splice(0, Math.max(0, shown.length - mostEvents))) entry.row.remove()
    tellEmpty()
  }

  function tellEmpty() {
    const visible = shown.some(entry => !entry.row.hidden)
    byId('events-empty').hidden = visible
    byId('events-empty').textContent =
      shown.length === 0 ? 'Events show up here as browsers would get them.' : 'None of the last events fits the filter.'
  }

  function schedule() {
    if (painting) return
    painting = true
    requestAnimationFrame(paint)
  }

  function filter() {
    for (const entry of shown) entry.row.hidden = !fits(entry)
    tellEmpty()
  }

  byId('pause').addEventListener('click', () => {
    paused = !paused
    byId('pause').setAttribute('aria-pressed', String(paused))
    schedule()
  })
  byId('clear').addEventListener('click', () => {
    for (const entry of shown.splice(0)) entry.row.remove()
    waiting = []
    total = 0
    schedule()
  })
  byId('filter').addEventListener('input', event => {
    words = event.target.value.trim().toLowerCase()
    filter()
  })

  return {
    add({ channel: on, event, data }) {
      total++
      const preview = JSON.stringify(data) ?? ''
      waiting.push({ at: Date.now(), channel: on, event, data, preview, text: `${on} ${event} ${preview}`.toLowerCase() })
      if (waiting.length > mostEvents) waiting.shift()
      schedule()
    },
    only(selected) {
      channel = selected
      filter()
    },
  }
}

function rowOf({ at, channel, event, data, preview }) {
  const short = preview.length > previewLength ? `${preview.slice(0, previewLength)}…` : preview
  const summary = element(
    'summary',
    {},
    element('time', {}, clockTime(at)),
    dotFor(channel),
    element('span', { class: 'channel' }, channel),
    element('span', { class: 'name' }, event),
    element('span', { class: 'preview' }, short),
  )
  const details = element('details', {}, summary)
  details.addEventListener(
    'toggle',
    () => details.append(element('pre', { tabindex: '0', 'aria-label': `Data of ${event}` }, JSON.stringify(data, null, 2) ?? 'no data')),
    { once: true },
  )
  return element('li', {}, details)
}
