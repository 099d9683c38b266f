import { createChannelList } from './channel-list.js'
import { byId } from './elements.js'
import { createEventList } from './event-list.js'
import { createLiveConnection } from './live-connection.js'
import { createPublishForm } from './publish-form.js'
import { showReload } from './reload-panel.js'
import { showWiring } from './wiring-panel.js'

const events = createEventList()
const channels = createChannelList({ onSelect: channel => events.only(channel) })
const form = createPublishForm()
const connection = createLiveConnection({ onEvent: arrived, onAccepted: channels.accepted, onRefused: channels.refused })

function arrived(entry) {
  channels.counted(entry.channel)
  events.add(entry)
}

function follow(channel) {
  if (channels.add(channel)) connection.follow(channel)
}

let start
const stream = new EventSource('/api/stream')
const on = (name, handle) => stream.addEventListener(name, message => handle(JSON.parse(message.data)))

on('state', state => {
  start ??= state.start
  if (state.start !== start) {
    location.reload()
    return
  }
  for (const channel of state.channels) follow(channel)
  showWiring(state)
  form.offer(state.subscriptions)
  showReload(state.reload)
})
on('channel', follow)
on('first', arrived)
on('reload', showReload)

document.addEventListener('keydown', event => {
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement
  if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault()
    byId('filter').focus()
  }
})
