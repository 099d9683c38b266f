/** As many as the router keeps. */
const mostMessages = 500
const mostChannels = 500

const empty = {
  app: '',
  generation: 0,
  flow: { nodes: [], edges: [] },
  topics: [],
  events: [],
  reload: null,
  /** Where browsers connect, `{ key, port }`; null where this page does not listen. */
  realtime: null,
  /** 'connecting' | 'connected' | 'failed' */
  connection: 'connecting',
  /** By id, oldest first. Never changed in place: a row that is the same object is not drawn again. */
  messages: new Map(),
  seen: 0,
  leftOut: 0,
  /** Channels by name: `{ subscribers, events }`. */
  channels: new Map(),
  paused: false,
  filter: '',
  selected: null,
  tab: 'send',
  isHelpOpen: false,
  draft: null,
}

/** What the page shows. `set` takes the changed fields, or a function from the state to them. */
export function createStore() {
  let state = empty
  /** What arrived while the stream is paused, by id. */
  let held = new Map()
  /** Outputs that were counted, by message. */
  const counted = new Map()
  const listeners = new Set()

  function set(change) {
    state = { ...state, ...(typeof change === 'function' ? change(state) : change) }
    for (const listener of listeners) listener(state)
  }

  /** Takes what the router tells of messages. */
  function take({ messages, seen, leftOut }) {
    const channels = countBroadcasts(state.channels, messages, counted)
    if (state.paused) {
      for (const message of messages) held.set(message.id, message)
      trim(held)
      set({ seen, leftOut, channels })
      return
    }
    set({ messages: merged(state.messages, messages), seen, leftOut, channels })
  }

  return {
    get state() {
      return state
    },
    get heldCount() {
      return held.size
    },
    set,
    take,
    /** A page that was away gets everything anew. */
    restart() {
      held = new Map()
      counted.clear()
      set({ messages: new Map(), channels: new Map() })
    },
    occupied(list) {
      set(({ channels }) => ({ channels: withSubscribers(channels, list) }))
    },
    togglePause() {
      if (!state.paused) {
        set({ paused: true })
        return
      }
      const messages = merged(state.messages, held.values())
      held = new Map()
      set({ paused: false, messages })
    },
    clear() {
      held = new Map()
      set({ messages: new Map(), selected: null, tab: state.tab === 'message' ? 'send' : state.tab })
    },
    select(id) {
      set({ selected: id, tab: id === null ? 'send' : 'message' })
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/** The messages that fit the filter, newest first. */
export function visibleMessages({ messages, filter }) {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean)
  const all = [...messages.values()].reverse()
  return words.length === 0 ? all : all.filter(message => words.every(word => textOf(message).includes(word)))
}

const texts = new WeakMap()

/** Everything of a message that the filter looks at. */
function textOf(message) {
  let text = texts.get(message)
  if (text === undefined) {
    const { topic, event, key, preview, state, routes, failures } = message
    const outputs = routes.flatMap(({ actions }) =>
      actions.flatMap(action => action.outputs.flatMap(({ target, event }) => [target, event])),
    )
    const parts = [
      topic,
      event,
      key,
      preview,
      state,
      ...routes.map(({ route }) => route),
      ...outputs,
      ...failures.map(({ error }) => error),
    ]
    text = parts.join(' ').toLowerCase()
    texts.set(message, text)
  }
  return text
}

function merged(before, messages) {
  const after = new Map(before)
  for (const message of messages) after.set(message.id, message)
  trim(after)
  return after
}

function trim(messages) {
  for (const id of messages.keys()) {
    if (messages.size <= mostMessages) return
    messages.delete(id)
  }
}

/** A message comes again each time that something of it changes: only its new broadcasts count. */
function countBroadcasts(before, messages, counted) {
  let channels = before
  for (const { id, routes } of messages) {
    const targets = routes.flatMap(({ actions }) =>
      actions.flatMap(({ kind, state, outputs }) => (kind === 'broadcast' && state === 'done' ? outputs.map(({ target }) => target) : [])),
    )
    const fresh = targets.slice(counted.get(id) ?? 0)
    if (fresh.length === 0) continue
    counted.set(id, targets.length)
    if (channels === before) channels = new Map(before)
    for (const name of fresh) {
      const known = channels.get(name)
      if (known === undefined && channels.size >= mostChannels) continue
      channels.set(name, { subscribers: known?.subscribers ?? 0, events: (known?.events ?? 0) + 1 })
    }
  }
  for (const id of counted.keys()) {
    if (counted.size <= mostMessages) break
    counted.delete(id)
  }
  return channels
}

function withSubscribers(before, list) {
  const channels = new Map()
  for (const [name, { events }] of before) channels.set(name, { subscribers: 0, events })
  for (const { name, subscribers } of list) {
    const known = channels.get(name)
    if (known !== undefined || channels.size < mostChannels) channels.set(name, { subscribers, events: known?.events ?? 0 })
  }
  return channels
}
