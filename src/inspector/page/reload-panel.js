import { byId, clockTime, element } from './elements.js'

/** How the latest change on disk ended. */
export function showReload(report) {
  const panel = byId('reload')
  if (report === null) {
    panel.hidden = true
    return
  }
  const { kind, at, summary, problems } = report
  const time = clockTime(at).slice(0, 8)
  const title = kind === 'applied' ? `Change applied at ${time}` : `Change rejected at ${time}: the routes from before stay at work`
  panel.dataset.kind = kind
  panel.replaceChildren(element('h2', {}, title))
  if (summary.length > 0) panel.append(element('ul', {}, ...summary.map(line => element('li', {}, line))))
  if (problems !== '') panel.append(element('pre', { tabindex: '0', 'aria-label': 'Problems' }, problems))
  panel.hidden = false
}
