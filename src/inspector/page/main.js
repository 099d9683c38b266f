import { render } from 'preact'
import { App } from './app.js'
import { html } from './html.js'
import { followRouter } from './router-link.js'
import { listenToKeys } from './shortcuts.js'
import { createStore } from './store.js'

const store = createStore()
render(html`<${App} store=${store} />`, document.body)
listenToKeys(store)
followRouter(store)
