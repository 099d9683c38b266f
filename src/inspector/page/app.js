import { useEffect, useState } from 'preact/hooks'
import { ChannelList } from './channel-list.js'
import { FlowChart } from './flow-chart.js'
import { HelpDialog } from './help-dialog.js'
import { html } from './html.js'
import { LivePanel } from './live-panel.js'
import { MessagePanel } from './message-panel.js'
import { ReloadPanel } from './reload-panel.js'
import { SendForm } from './send-form.js'
import { StreamList } from './stream-list.js'

const connectionWords = { connecting: 'connecting', connected: 'live', failed: 'not connected: reload the page' }

const tabs = [
  ['message', 'Message'],
  ['send', 'Send'],
  ['channels', 'Channels'],
  ['live', 'Browser'],
]

export function App({ store }) {
  const [state, show] = useState(store.state)
  useEffect(() => store.subscribe(show), [store])
  return html`
    <a class="skip" href="#stream">Skip to the stream</a>
    <header class="bar">
      <img src="/page/icon.svg" alt="" width="28" height="28" />
      <h1>Signalbox <span class="quiet">${state.app}</span></h1>
      <p class="quiet generation">generation ${state.generation}</p>
      <p id="connection" class="pill" role="status" data-state=${state.connection}>${connectionWords[state.connection]}</p>
      <button type="button" class="round" aria-label="Help on the keyboard" title="Keyboard (?)" onClick=${() => store.set({ isHelpOpen: true })}>?</button>
    </header>
    <${ReloadPanel} report=${state.reload} />
    <main class="grid">
      <div class="left">
        <${StreamList} state=${state} store=${store} />
        <${FlowChart} flow=${state.flow} message=${state.selected === null ? undefined : state.messages.get(state.selected)} />
      </div>
      <section class="panel side" aria-label="Details">
        <${Tabs} state=${state} store=${store} />
        <div role="tabpanel" id="tab-panel" aria-labelledby=${`tab-${state.tab}`}>
          ${state.tab === 'message' && html`<${MessagePanel} state=${state} store=${store} />`}
          ${state.tab === 'send' && html`<${SendForm} state=${state} store=${store} />`}
          ${state.tab === 'live' && state.realtime !== null && html`<${LivePanel} state=${state} />`}
          ${state.tab === 'channels' && html`<${ChannelList} state=${state} store=${store} />`}
        </div>
      </section>
    </main>
    <${HelpDialog} isOpen=${state.isHelpOpen} onClose=${() => store.set({ isHelpOpen: false })} />
  `
}

function Tabs({ state, store }) {
  const shown = state.realtime === null ? tabs.filter(([name]) => name !== 'live') : tabs
  const names = shown.map(([name]) => name)
  const move = event => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    if (step === undefined) return
    event.preventDefault()
    const next = names[(names.indexOf(state.tab) + step + names.length) % names.length]
    store.set({ tab: next })
    document.getElementById(`tab-${next}`)?.focus()
  }
  return html`
    <div role="tablist" aria-label="Details" class="tabs" onKeyDown=${move}>
      ${shown.map(
        ([name, title]) => html`
          <button
            key=${name}
            type="button"
            role="tab"
            id=${`tab-${name}`}
            aria-controls="tab-panel"
            aria-selected=${String(state.tab === name)}
            tabindex=${state.tab === name ? 0 : -1}
            onClick=${() => store.set({ tab: name })}
          >
            ${title}${name === 'channels' && html` <span class="count">${state.channels.size}</span>`}
          </button>
        `,
      )}
    </div>
  `
}
