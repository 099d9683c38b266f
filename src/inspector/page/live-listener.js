/** Presence channels would have one member more, and encrypted ones cannot be read without their key. */
const leftAlone = /^(presence-|private-encrypted-)/

/** More than a person can follow. */
const mostChannels = 50
const mostEvents = 100

let script

/** The browser build of pusher-js makes a global: it is loaded where somebody looks. */
function loadPusher() {
  script ??= new Promise((resolve, reject) => {
    const element = document.createElement('script')
    element.src = '/page/pusher.js'
    element.addEventListener('load', () => resolve(globalThis.Pusher))
    element.addEventListener('error', () => reject(new Error('pusher-js could not be loaded')))
    document.head.append(element)
  })
  return script
}

/** Listens with pusher-js, as the browsers of an application do. `show` gets `{ connection, events, received, refused }` whenever it changes. */
export function createLiveListener({ key, port }, show) {
  let state = { connection: 'connecting', events: [], received: 0, refused: new Map() }
  let pusher
  let wanted = []
  let isClosed = false

  function set(change) {
    state = { ...state, ...change }
    if (!isClosed) show(state)
  }

  function connect(Pusher) {
    if (isClosed) return
    pusher = new Pusher(key, {
      cluster: 'local',
      wsHost: location.hostname,
      wsPort: port,
      forceTLS: false,
      enabledTransports: ['ws'],
      channelAuthorization: { endpoint: `http://${location.hostname}:${port}/pusher/auth`, transport: 'ajax' },
    })
    pusher.connection.bind('state_change', ({ current }) => set({ connection: current }))
    pusher.connection.bind('error', problem => {
      const data = problem?.data
      // pusher-js does not try again after these codes.
      if (data?.code >= 4000 && data.code < 4100) set({ connection: data.message })
    })
    for (const name of wanted) listen(name)
  }

  function listen(name) {
    const channel = pusher.subscribe(name)
    channel.bind('pusher:subscription_error', ({ status, error }) => {
      const reason = Number.isInteger(status) ? `not authorised (${status})` : (error ?? 'refused')
      set({ refused: new Map(state.refused).set(name, reason) })
    })
    channel.bind_global((event, data) => {
      if (event.startsWith('pusher')) return
      const received = state.received + 1
      set({ received, events: [{ id: received, at: Date.now(), channel: name, event, data }, ...state.events].slice(0, mostEvents) })
    })
  }

  loadPusher().then(connect, error => set({ connection: error.message }))
  return {
    /** Listens to these channels as well. */
    follow(names) {
      for (const name of names) {
        if (wanted.length >= mostChannels) return
        if (leftAlone.test(name) || wanted.includes(name)) continue
        wanted = [...wanted, name]
        if (pusher !== undefined) listen(name)
      }
    },
    close() {
      isClosed = true
      pusher?.disconnect()
    },
  }
}
