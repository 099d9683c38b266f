import { visibleMessages } from './store.js'

/** The keys that `help-dialog.js` lists. */
export function listenToKeys(store) {
  const byId = id => document.getElementById(id)

  function move(step) {
    const { state } = store
    const ids = visibleMessages(state).map(({ id }) => id)
    const at = ids.indexOf(state.selected)
    const next = ids[at === -1 ? 0 : Math.min(Math.max(at + step, 0), ids.length - 1)]
    if (next === undefined) return
    store.select(next)
    requestAnimationFrame(() => byId(`message-${next}`)?.scrollIntoView({ block: 'nearest' }))
  }

  function goBack(target) {
    const { selected, filter } = store.state
    if (target.id === 'filter') {
      if (filter === '') byId('stream')?.focus()
      store.set({ filter: '' })
    } else if (target.closest('[role="tabpanel"]')) byId('stream')?.focus()
    else if (selected !== null) store.select(null)
  }

  const isOnStream = target => target === document.body || target.id === 'stream'
  const actions = {
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: target => isOnStream(target) && move(1),
    ArrowUp: target => isOnStream(target) && move(-1),
    Home: target => isOnStream(target) && move(Number.NEGATIVE_INFINITY),
    End: target => isOnStream(target) && move(Number.POSITIVE_INFINITY),
    Enter: target => {
      if (!isOnStream(target) || store.state.selected === null) return false
      store.set({ tab: 'message' })
      requestAnimationFrame(() => byId('message-title')?.focus())
    },
    '/': () => byId('filter')?.focus(),
    p: () => store.togglePause(),
    s: () => {
      store.set({ tab: 'send' })
      requestAnimationFrame(() => byId('send-data')?.focus())
    },
    e: () => {
      const button = document.querySelector('.message .primary')
      if (button === null) return false
      button.click()
    },
    '?': () => store.set({ isHelpOpen: true }),
  }

  document.addEventListener('keydown', event => {
    const { target, key } = event
    if (event.ctrlKey || event.metaKey || event.altKey || store.state.isHelpOpen) return
    if (key === 'Escape') {
      goBack(target)
      return
    }
    if (target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement) return
    if (Object.hasOwn(actions, key) && actions[key](target) !== false) event.preventDefault()
  })
}
