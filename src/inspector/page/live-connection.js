/* global Pusher */
import { byId, setting } from './elements.js'

const words = {
  connecting: 'connecting',
  connected: 'live',
  unavailable: 'realtime server not reachable',
  failed: 'cannot connect',
  disconnected: 'disconnected',
}

/** A connection to the realtime server by pusher-js, as the browsers of an application make it. */
export function createLiveConnection({ onEvent, onAccepted, onRefused }) {
  const port = Number(setting('pusher-port'))
  const pusher = new Pusher(setting('pusher-key'), {
    cluster: 'local',
    wsHost: '127.0.0.1',
    wsPort: port,
    forceTLS: false,
    enabledTransports: ['ws'],
    channelAuthorization: { endpoint: `http://127.0.0.1:${port}/pusher/auth`, transport: 'ajax' },
  })

  function follow(name) {
    const channel = pusher.subscribe(name)
    channel.bind('pusher:subscription_succeeded', () => onAccepted(name))
    channel.bind('pusher:subscription_error', problem => onRefused(name, refusal(problem)))
    channel.bind_global((event, data) => {
      if (!event.startsWith('pusher:') && !event.startsWith('pusher_internal:')) onEvent({ channel: name, event, data })
    })
  }

  pusher.connection.bind('state_change', ({ current }) => show(current))
  // The last word on why it cannot connect, such as an origin that is not allowed; pusher-js does not try again after these codes.
  pusher.connection.bind('error', problem => {
    const data = problem?.data
    if (data?.code >= 4000 && data.code < 4100) show('failed', data.message)
  })

  function show(state, reason) {
    const pill = byId('connection')
    pill.dataset.state = state === 'connected' ? 'connected' : state === 'connecting' || state === 'initialized' ? 'connecting' : 'failed'
    pill.textContent = reason ?? words[state] ?? state
  }

  return { follow }
}

/** pusher-js tells of a refusal by the authorisation endpoint in several lines of advice; the status says it. */
function refusal({ type, error, status }) {
  if (type === 'AuthError' && Number.isInteger(status)) return `Not authorised (${status})`
  return error ?? 'The subscription was refused'
}
