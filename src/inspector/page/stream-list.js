import { Component } from 'preact'
import { clockTime, count, duration, shortRoute, stateSigns } from './format.js'
import { html } from './html.js'
import { visibleMessages } from './store.js'

/** The messages with the routes that took them and what went out, newest first. */
export function StreamList({ state, store }) {
  const visible = visibleMessages(state)
  const { heldCount } = store
  const goOn = state.paused && heldCount > 0 ? `Go on (${heldCount})` : state.paused ? 'Go on' : 'Pause'
  return html`
    <section class="panel stream" aria-labelledby="stream-title">
      <div class="head">
        <h2 id="stream-title">Messages <span id="seen" class="count">${state.seen.toLocaleString()}</span></h2>
        <div class="tools">
          <label class="visually-hidden" for="filter">Filter messages</label>
          <input
            id="filter"
            type="search"
            placeholder="Filter  ( / )"
            autocomplete="off"
            spellcheck=${false}
            value=${state.filter}
            onInput=${event => store.set({ filter: event.target.value })}
          />
          <button type="button" aria-pressed=${String(state.paused)} onClick=${store.togglePause}>${goOn}</button>
          <button type="button" onClick=${store.clear}>Clear</button>
        </div>
      </div>
      ${state.leftOut > 0 && html`<p class="note left-out">${count(state.leftOut, 'message was', 'messages were')} too many to show; failures are shown all the same.</p>`}
      <div
        id="stream"
        role="listbox"
        tabindex="0"
        aria-label="Messages, newest first"
        aria-activedescendant=${state.selected === null ? null : `message-${state.selected}`}
      >
        ${visible.map(
          message => html`
            <${Row} key=${message.id} message=${message} isSelected=${message.id === state.selected} onSelect=${store.select} />
          `,
        )}
      </div>
      ${visible.length === 0 && html`<p class="empty">${state.messages.size === 0 ? 'Messages show up here as they are routed. Send one, or wait for one.' : 'None of the last messages fits the filter.'}</p>`}
    </section>
  `
}

/** Drawn again only when its own message has changed: one arrival does not cost five hundred rows. */
class Row extends Component {
  shouldComponentUpdate({ message, isSelected }) {
    return message !== this.props.message || isSelected !== this.props.isSelected
  }

  render({ message, isSelected, onSelect }) {
    const { id, at, topic, event, preview, state, ms, routes } = message
    const [sign, words] = stateSigns[state]
    const took = routes.filter(route => route.state !== 'condition')
    return html`
      <div
        role="option"
        id=${`message-${id}`}
        class="row"
        aria-selected=${String(isSelected)}
        data-state=${state}
        onClick=${() => onSelect(id)}
      >
        <span class="sign" title=${words} aria-hidden="true">${sign}</span>
        <time>${clockTime(at)}</time>
        <span class="event" title=${event ?? ''}>${event ?? 'no event'}</span>
        <span class="topic">${topic}</span>
        <span class="ms">${state === 'running' || state === 'retrying' ? '' : duration(ms)}<span class="visually-hidden">, ${words}</span></span>
        <span class="ways">
          ${took.length === 0 ? html`<span class="preview">${preview}</span>` : took.map(route => html`<${Way} key=${route.route} route=${route} />`)}
          ${fates(message).map(fate => html`<span class="fate">${fate}</span>`)}
        </span>
      </div>
    `
  }
}

/** One route and where it led: `order-created → receipt.ts, private-user.7`. */
function Way({ route: { route, state, actions } }) {
  const targets = actions.flatMap(({ outputs, moreOutputs }) => [
    ...outputs.map(shortTarget),
    ...(moreOutputs > 0 ? [`${moreOutputs} more`] : []),
  ])
  const what = state === 'duplicate' ? 'seen before' : targets.join(', ')
  return html`<span class="way"><b title=${route}>${shortRoute(route)}</b>${what === '' ? '' : ` → ${what}`}</span>`
}

function shortTarget({ action, target }) {
  return action === 'invoke' ? target.slice(target.lastIndexOf('/') + 1) : target
}

/** What did not go as planned, in a few words. */
function fates({ routes, failures, state }) {
  const actions = routes.flatMap(route => route.actions)
  const retries = actions.reduce((sum, { attempts }) => sum + Math.max(0, attempts - 1), 0)
  const waiting = actions.find(action => action.state === 'waiting')
  return [
    ...(waiting === undefined
      ? []
      : [`attempt ${waiting.attempts} failed, next at ${clockTime(waiting.retryAt).slice(0, 8)}: ${waiting.why}`]),
    ...(waiting === undefined && retries > 0 ? [count(retries, 'retry', 'retries')] : []),
    ...failures.map(
      ({ topic, error, outcome }) => `${topic === null ? (outcome === 'stop' ? 'partition stopped' : 'given up') : `→ ${topic}`}: ${error}`,
    ),
    ...(state === 'released' ? ['released: it will be delivered again'] : []),
  ]
}
