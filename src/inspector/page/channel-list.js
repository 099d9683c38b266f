import { count, hueOf } from './format.js'
import { html } from './html.js'

/** Who listens, and what was sent. Pressing a channel shows only its messages. */
export function ChannelList({ state, store }) {
  const channels = [...state.channels].sort(([, a], [, b]) => b.subscribers - a.subscribers || b.events - a.events)
  const subscribers = channels.reduce((sum, [, channel]) => sum + channel.subscribers, 0)
  return html`
    <h2>${count(channels.length, 'channel')}, ${count(subscribers, 'subscription')}</h2>
    ${channels.length === 0 && html`<p class="empty">No broadcast yet, and nobody is subscribed.</p>`}
    ${channels.length >= 500 && html`<p class="note">Only 500 channels are shown.</p>`}
    <ul class="plain channels">
      ${channels.map(
        ([name, { subscribers, events }]) => html`
          <li key=${name}>
            <button type="button" aria-pressed=${String(state.filter === name)} onClick=${() => store.set({ filter: state.filter === name ? '' : name })}>
              <span class="dot" aria-hidden="true" style=${{ '--hue': hueOf(name) }}></span>
              <span class="name">${name}</span>
              <span class="total">${count(subscribers, 'subscriber')} · ${count(events, 'event')}</span>
            </button>
          </li>
        `,
      )}
    </ul>
  `
}
