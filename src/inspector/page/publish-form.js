import { byId, element, setting } from './elements.js'

/** The form that sends a test event through the router, from the topic on: as a producer would. */
export function createPublishForm() {
  const form = byId('publish')
  const data = byId('publish-data')
  const button = form.querySelector('button')
  const result = byId('publish-result')

  function tell(kind, text) {
    result.dataset.kind = kind
    result.textContent = text
  }

  async function send() {
    const values = new FormData(form)
    const key = String(values.get('key'))
    let parsed
    try {
      parsed = JSON.parse(data.value)
    } catch (error) {
      tell('bad', `The data is not valid JSON: ${error.message}`)
      data.setAttribute('aria-invalid', 'true')
      data.focus()
      return
    }
    data.removeAttribute('aria-invalid')
    button.disabled = true
    try {
      await post({ topic: values.get('topic'), event: values.get('event'), data: parsed, ...(key === '' ? {} : { key }) })
      tell('good', `Sent ${values.get('event')} to ${values.get('topic')}`)
    } catch (error) {
      tell('bad', error.message)
    } finally {
      button.disabled = false
    }
  }

  form.addEventListener('submit', event => {
    event.preventDefault()
    void send()
  })
  form.addEventListener('keydown', event => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit()
  })

  return {
    /** Offers the topics and events that routes name, and fills in the first of each. */
    offer(subscriptions) {
      const topics = unique(subscriptions.flatMap(({ topics }) => topics.filter(topic => !topic.startsWith('/'))))
      const events = unique(
        subscriptions.flatMap(({ routes }) => routes.flatMap(route => route.events.filter(event => !event.includes('*')))),
      )
      byId('known-topics').replaceChildren(...topics.map(value => element('option', { value })))
      byId('known-events').replaceChildren(...events.map(value => element('option', { value })))
      if (byId('publish-topic').value === '') byId('publish-topic').value = topics[0] ?? ''
      if (byId('publish-event').value === '') byId('publish-event').value = events[0] ?? ''
    },
  }
}

async function post(record) {
  const response = await fetch('/api/publish', {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${setting('token')}` },
    body: JSON.stringify(record),
    signal: AbortSignal.timeout(10_000),
  }).catch(error => {
    throw new Error(error.name === 'TimeoutError' ? 'The router did not answer within 10 seconds' : 'The router cannot be reached')
  })
  if (response.ok) return
  const answer = await response.json().catch(() => ({}))
  throw new Error(typeof answer.error === 'string' ? `Not sent: ${answer.error}` : `Not sent: the router answered ${response.status}`)
}

function unique(values) {
  return [...new Set(values)]
}
