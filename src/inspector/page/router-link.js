/** Follows what the router tells, and comes back by itself after it was away. */
export function followRouter(store) {
  let start
  const stream = new EventSource('/api/stream')
  const on = (name, handle) => stream.addEventListener(name, message => handle(JSON.parse(message.data)))

  stream.addEventListener('open', () => {
    store.restart()
    store.set({ connection: 'connected' })
  })
  stream.addEventListener('error', () => store.set({ connection: stream.readyState === EventSource.CLOSED ? 'failed' : 'connecting' }))
  on('state', state => {
    const isFirst = start === undefined
    start ??= state.start
    // Another router answers: its token is another one.
    if (state.start !== start) {
      location.reload()
      return
    }
    const { app, generation, flow, topics, events, reload, realtime } = state
    document.title = `${app} · Signalbox`
    store.set({ app, generation, flow, topics, events, reload, realtime })
    if (isFirst && realtime !== null) store.set({ tab: 'live' })
  })
  on('messages', store.take)
  on('channels', store.occupied)
}

/** All that can be said of one message. Rejects with an error for people. */
export async function askForMessage(id, signal) {
  const response = await ask(`/api/messages/${id}`, { signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]) })
  return await response.json()
}

/** Sends an event, or a record as it is, from the topic on: as a producer would. Rejects with an error for people. */
export async function publish(record) {
  const token = document.querySelector('meta[name="signalbox-token"]')?.getAttribute('content') ?? ''
  await ask('/api/publish', {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify(record),
    signal: AbortSignal.timeout(10_000),
  })
}

async function ask(path, options) {
  const response = await fetch(path, options).catch(error => {
    if (error.name === 'AbortError') throw error
    throw new Error(error.name === 'TimeoutError' ? 'the router did not answer within 10 seconds' : 'the router cannot be reached')
  })
  if (response.ok) return response
  const answer = await response.json().catch(() => ({}))
  throw new Error(typeof answer.error === 'string' ? answer.error : `the router answered ${response.status}`)
}
