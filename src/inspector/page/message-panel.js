import { useEffect, useState } from 'preact/hooks'
import { Explanation } from './explanation.js'
import { clockTime, count, duration, pretty, stateSigns } from './format.js'
import { html } from './html.js'
import { askForMessage } from './router-link.js'
import { draftOf } from './send-form.js'

/** Everything about the selected message: what happened, why, and what it holds. */
export function MessagePanel({ state, store }) {
  const { selected, generation } = state
  const message = state.messages.get(selected)
  const [{ detail, problem }, show] = useState({})
  useEffect(() => {
    show({})
    if (selected === null) return
    const stop = new AbortController()
    askForMessage(selected, stop.signal).then(
      found => show({ detail: found }),
      error => {
        if (!stop.signal.aborted) show({ problem: error.message })
      },
    )
    return () => stop.abort()
  }, [selected, generation])

  if (message === undefined) return html`<p class="empty">Choose a message to see where it went and why.</p>`
  const { event, topic, partition, offset, key, at, ms } = message
  const [sign, words] = stateSigns[message.state]
  return html`
    <article class="message">
      <h2 id="message-title" tabindex="-1">${event ?? 'No event name'}</h2>
      <p class="verdict" data-state=${message.state}>${sign} ${words}${ms === null ? '' : ` in ${duration(ms)}`}</p>
      <dl class="facts">
        <dt>from</dt>
        <dd>${topic}, partition ${partition}, offset ${offset}</dd>
        ${key !== null && html`<dt>key</dt><dd>${key}</dd>`}
        <dt>at</dt>
        <dd>${clockTime(at)}, generation ${message.generation}</dd>
      </dl>
      <p class="send">
        <button type="button" class="primary" disabled=${detail === undefined} onClick=${() => store.set({ draft: draftOf(detail), tab: 'send' })}>Send again, edited</button>
      </p>
      ${message.failures.length > 0 && html`<${Failures} failures=${message.failures} />`}
      <h3>What happened</h3>
      ${message.routes.length === 0 && html`<p class="quiet">No route took it.</p>`}
      ${message.routes.map(route => html`<${TakenRoute} key=${route.route} route=${route} />`)}
      <h3>Why</h3>
      ${problem !== undefined && html`<p class="quiet">${problem}</p>`}
      ${detail !== undefined && html`<${Explanation} explanation=${detail.explanation} seenBy=${message.generation} />`}
      <h3>Data</h3>
      <pre tabindex="0" aria-label="Data">${pretty(detail === undefined ? message.preview : detail.event === null ? (detail.record.value ?? 'no value') : JSON.stringify(detail.event.data))}</pre>
      ${
        detail !== undefined &&
        Object.keys(detail.record.headers).length > 0 &&
        html`
        <h3>Headers</h3>
        <pre tabindex="0" aria-label="Headers">${JSON.stringify(detail.record.headers, null, 2)}</pre>
      `
      }
    </article>
  `
}

function Failures({ failures }) {
  return html`
    <div class="failures">
      ${failures.map(
        ({ route, action, attempts, outcome, topic, error }) => html`
          <p>
            <b>${topic !== null ? `Dead-lettered to ${topic}` : outcome === 'stop' ? 'The partition was stopped' : 'Given up'}</b>
            ${route !== null && html` by ${route}${action !== null && `, action ${action}`}`}${attempts > 1 && ` after ${count(attempts, 'attempt')}`}
          </p>
          <p class="error">${error}</p>
        `,
      )}
    </div>
  `
}

function TakenRoute({ route: { route, state, actions } }) {
  if (state === 'condition')
    return html`<section class="taken unused"><h4>${route}</h4><p class="quiet">its condition did not hold</p></section>`
  if (state === 'duplicate')
    return html`<section class="taken unused"><h4>${route}</h4><p class="quiet">left out: its idempotency key was completed before</p></section>`
  return html`
    <section class="taken">
      <h4>${route}</h4>
      <ol class="plain">${actions.map(action => html`<${TakenAction} key=${action.position} action=${action} />`)}</ol>
    </section>
  `
}

function TakenAction({ action: { kind, summary, state, attempts, ms, outputs, moreOutputs, why, retryAt } }) {
  const [sign, words] = stateSigns[state]
  const facts = [words, ...(attempts > 1 ? [`attempt ${attempts}`] : []), ...(ms === null ? [] : [duration(ms)])]
  return html`
    <li data-state=${state}>
      <p class="action">
        <span class="sign" aria-hidden="true">${sign}</span>
        <code>${outputs.length === 0 ? summary : kind}</code>
        <span class="quiet">${facts.join(' · ')}${retryAt !== null && `, next at ${clockTime(retryAt).slice(0, 8)}`}</span>
      </p>
      ${why !== null && html`<p class="why">${why}</p>`}
      ${outputs.map(output => html`<${Output} output=${output} />`)}
      ${moreOutputs > 0 && html`<p class="quiet">and ${moreOutputs.toLocaleString()} more</p>`}
    </li>
  `
}

function Output({ output: { target, event, data } }) {
  return html`
    <details class="output">
      <summary><code>${target}</code>${event !== null && html` <b>${event}</b>`}</summary>
      <pre tabindex="0" aria-label=${`Data for ${target}`}>${data === null ? 'the data of the message' : pretty(data)}</pre>
    </details>
  `
}
