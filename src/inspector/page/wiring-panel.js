import { byId, element } from './elements.js'

/** Which files listen to which topics, and what their routes do. */
export function showWiring({ app, generation, subscriptions }) {
  byId('app-name').textContent = app
  byId('generation').textContent = `generation ${generation}`
  document.title = `${app} · Signalbox`
  const sections = subscriptions.map(subscriptionSection)
  byId('wiring').replaceChildren(...(sections.length > 0 ? sections : [element('p', { class: 'empty' }, 'No route file is at work.')]))
}

function subscriptionSection({ name, file, broker, group, topics, routes, unmatched }) {
  const entries = routes.flatMap(routeEntry)
  if (unmatched === 'dead-letter') entries.push(element('dt', {}, 'anything else'), element('dd', {}, element('code', {}, 'dead-letter')))
  if (typeof unmatched === 'object') entries.push(...routeEntry({ ...unmatched, name: 'anything else' }))
  return element(
    'section',
    { class: 'subscription' },
    element('h3', { title: file }, name),
    element('p', { class: 'from', title: `group ${group}` }, `${topics.join(', ')} on ${broker}`),
    element('dl', {}, ...entries),
  )
}

function routeEntry({ name, events, conditional, actions }) {
  const heard = events.length > 0 ? [' ', element('code', {}, events.join(', '))] : []
  const title = element('dt', {}, name, ...heard, ...(conditional ? [element('span', { class: 'quiet' }, ' under conditions')] : []))
  return [title, ...actions.map(action => element('dd', {}, element('code', {}, action)))]
}
