import { byId, dotFor, element } from './elements.js'

const mostChannels = 500

/** The channels that broadcasts went to. Pressing one shows only its events; pressing it again shows all. */
export function createChannelList({ onSelect }) {
  const list = byId('channels')
  const rows = new Map()
  let selected

  function select(channel) {
    selected = selected === channel ? undefined : channel
    for (const [name, row] of rows) row.button.setAttribute('aria-pressed', String(name === selected))
    onSelect(selected)
  }

  return {
    /** False where it was known already. */
    add(channel) {
      if (rows.has(channel)) return false
      const total = element('span', { class: 'total' }, '')
      const button = element(
        'button',
        { type: 'button', 'aria-pressed': 'false' },
        dotFor(channel),
        element('span', { class: 'name' }, channel),
        total,
      )
      button.addEventListener('click', () => select(channel))
      const item = element('li', {}, button)
      rows.set(channel, { button, item, total, count: 0 })
      list.append(item)
      byId('channel-count').textContent = String(rows.size)
      byId('channels-empty').hidden = true
      byId('channels-full').hidden = rows.size < mostChannels
      return true
    },
    counted(channel) {
      const row = rows.get(channel)
      if (row === undefined) return
      row.count++
      row.total.textContent = row.count.toLocaleString()
    },
    refused(channel, reason) {
      const row = rows.get(channel)
      if (row === undefined) return
      row.item.querySelector('.refused')?.remove()
      row.item.append(element('p', { class: 'refused' }, reason))
    },
    accepted(channel) {
      rows.get(channel)?.item.querySelector('.refused')?.remove()
    },
  }
}
