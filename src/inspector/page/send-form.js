import { useEffect, useRef, useState } from 'preact/hooks'
import { html } from './html.js'
import { publish } from './router-link.js'

const firstData = '{\n  "user_id": 1\n}'

/** What the form starts with, for a message that is sent again: the event where its envelope can be written anew, else the record as it is. */
export function draftOf({ message: { topic }, record: { key, headers, value, isWhole }, event }) {
  const isEnvelope = isWhole && event?.event && Object.keys(headers).length === 0 && isEventEnvelope(value)
  if (isEnvelope) {
    // The same id would be the same event to routes with `idempotency`.
    const id = event.id === null ? '' : `${event.id}-${Math.random().toString(36).slice(2, 8)}`
    return { mode: 'event', topic, key: key ?? '', id, event: event.event, data: JSON.stringify(event.data, null, 2) }
  }
  return { mode: 'raw', topic, key: key ?? '', headers, data: value ?? '' }
}

function isEventEnvelope(value) {
  try {
    return Object.keys(JSON.parse(value)).every(key => ['id', 'event', 'data'].includes(key))
  } catch {
    return false
  }
}

/** Sends a test event through the router, from the topic on: as a producer would. */
export function SendForm({ state, store }) {
  const draft = state.draft ?? {
    mode: 'event',
    topic: state.topics[0] ?? '',
    key: '',
    id: '',
    event: state.events[0] ?? '',
    data: firstData,
  }
  const [result, tell] = useState({ kind: '', text: '' })
  const [isSending, setSending] = useState(false)
  const data = useRef(null)
  const isAgain = state.draft?.mode !== undefined && state.draft.touched !== true
  useEffect(() => {
    if (isAgain) data.current?.focus()
  }, [isAgain])
  const edit = name => event => store.set({ draft: { ...draft, touched: true, [name]: event.target.value } })

  async function send(event) {
    event?.preventDefault()
    const { mode, topic, key, id } = draft
    let record = { topic, ...(key === '' ? {} : { key }) }
    if (mode === 'raw')
      record = { ...record, raw: draft.data, ...(Object.keys(draft.headers).length === 0 ? {} : { headers: draft.headers }) }
    else {
      try {
        record = { ...record, event: draft.event, data: JSON.parse(draft.data), ...(id === '' ? {} : { id }) }
      } catch (error) {
        tell({ kind: 'bad', text: `The data is not valid JSON: ${error.message}` })
        data.current?.focus()
        return
      }
    }
    setSending(true)
    try {
      await publish(record)
      tell({ kind: 'good', text: mode === 'raw' ? `Sent to ${topic}` : `Sent ${draft.event} to ${topic}` })
    } catch (error) {
      tell({ kind: 'bad', text: `Not sent: ${error.message}` })
    } finally {
      setSending(false)
    }
  }

  const submitByKey = event => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) event.currentTarget.requestSubmit()
  }
  const isRaw = draft.mode === 'raw'
  return html`
    <form id="send" onSubmit=${send} onKeyDown=${submitByKey}>
      <h2>${state.draft === null ? 'Send an event' : isRaw ? 'Send the record again' : 'Send the event again'}</h2>
      <div class="pair">
        <${Field} name="topic" label="Topic" list="known-topics" required maxlength="249" value=${draft.topic} onInput=${edit('topic')} />
        ${!isRaw && html`<${Field} name="event" label="Event" list="known-events" required maxlength="200" value=${draft.event} onInput=${edit('event')} />`}
      </div>
      <div class="pair">
        <${Field} name="key" label="Key" note="optional" maxlength="1000" value=${draft.key} onInput=${edit('key')} />
        ${!isRaw && html`<${Field} name="id" label="Id" note="optional" maxlength="1000" value=${draft.id} onInput=${edit('id')} />`}
      </div>
      <p>
        <label for="send-data">${isRaw ? 'Value' : 'Data'} <span class="quiet">${isRaw ? 'the whole record, as it is' : 'JSON'}</span></label>
        <textarea
          id="send-data"
          ref=${data}
          rows="10"
          spellcheck=${false}
          aria-describedby="send-result"
          aria-invalid=${result.kind === 'bad' && result.text.startsWith('The data') ? 'true' : null}
          value=${draft.data}
          onInput=${edit('data')}
        />
      </p>
      <p class="send">
        <button class="primary" type="submit" disabled=${isSending}>Send</button>
        <span class="quiet">or <kbd>Ctrl</kbd>+<kbd>Enter</kbd></span>
        ${state.draft !== null && html`<button type="button" class="plain-button" onClick=${() => store.set({ draft: null })}>Start anew</button>`}
      </p>
      <p id="send-result" class="result" role="status" data-kind=${result.kind}>${result.text}</p>
      <datalist id="known-topics">${state.topics.map(value => html`<option value=${value} />`)}</datalist>
      <datalist id="known-events">${state.events.map(value => html`<option value=${value} />`)}</datalist>
    </form>
  `
}

function Field({ name, label, note, ...attributes }) {
  return html`
    <p>
      <label for=${`send-${name}`}>${label}${note !== undefined && html` <span class="quiet">${note}</span>`}</label>
      <input id=${`send-${name}`} name=${name} autocomplete="off" spellcheck=${false} ...${attributes} />
    </p>
  `
}
