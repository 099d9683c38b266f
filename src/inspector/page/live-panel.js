import { useEffect, useRef, useState } from 'preact/hooks'
import { clockTime, count, hueOf } from './format.js'
import { html } from './html.js'
import { createLiveListener } from './live-listener.js'

const words = { initialized: 'connecting', connected: 'connected', unavailable: 'the realtime server cannot be reached' }

/** What a browser gets: this page subscribes, while it shows this, to the channels that broadcasts go to. */
export function LivePanel({ state }) {
  const { key, port } = state.realtime
  const [live, show] = useState({ connection: 'connecting', events: [], received: 0, refused: new Map() })
  const listener = useRef(null)
  useEffect(() => {
    listener.current = createLiveListener({ key, port }, show)
    return () => listener.current.close()
  }, [key, port])
  useEffect(() => listener.current.follow(state.channels.keys()), [state.channels, key, port])
  return html`
    <h2>What a browser gets <span class="quiet">${words[live.connection] ?? live.connection}</span></h2>
    <p class="note">
      This page listens over WebSocket with pusher-js, while you look here. ${live.received > 0 && `${count(live.received, 'event')} so far.`}
    </p>
    ${[...live.refused].map(([name, reason]) => html`<p key=${name} class="refused">${name}: ${reason}</p>`)}
    ${live.events.length === 0 && html`<p class="empty">Nothing has arrived yet.</p>`}
    <ol class="plain live" aria-label="Events that arrived">
      ${live.events.map(
        ({ id, at, channel, event, data }) => html`
          <li key=${id}>
            <p>
              <span class="dot" aria-hidden="true" style=${{ '--hue': hueOf(channel) }}></span>
              <strong>${event}</strong> <span class="name">${channel}</span> <time>${clockTime(at)}</time>
            </p>
            <code>${cut(JSON.stringify(data))}</code>
          </li>
        `,
      )}
    </ol>
  `
}

function cut(text) {
  return text.length > 300 ? `${text.slice(0, 300)} …` : text
}
