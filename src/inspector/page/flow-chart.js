import { useMemo } from 'preact/hooks'
import { layOut, pictureWidth } from './flow-layout.js'
import { count } from './format.js'
import { html } from './html.js'

/** Topics, routes and where they lead; the way of the selected message stands out. */
export function FlowChart({ flow, message }) {
  const { nodes, lines, height } = useMemo(() => layOut(flow), [flow])
  const way = useMemo(() => (message === undefined ? undefined : wayOf(message, nodes, lines)), [message, nodes, lines])
  const of = kind => nodes.filter(node => node.kind === kind).length
  const label = `${count(nodes.filter(({ key }) => key.startsWith('0')).length, 'topic')}, ${count(of('route'), 'route')}, ${count(nodes.filter(({ key }) => key.startsWith('2')).length, 'output')}`
  return html`
    <section class="panel flow" aria-labelledby="flow-title">
      <h2 id="flow-title">Flow <span class="quiet">${way === undefined ? label : 'the way of the chosen message'}</span></h2>
      ${nodes.length === 0 && html`<p class="empty">No route file is at work.</p>`}
      <div class="canvas" tabindex="0" role="group" aria-label="Picture of the flow">
        <svg viewBox=${`0 0 ${pictureWidth} ${height}`} role="img" aria-label=${label} data-way=${way === undefined ? null : 'shown'}>
          ${lines.map(
            line => html`
              <path key=${`${line.fromKey} ${line.toKey} ${line.isDeadLetter}`} d=${line.path} class=${classOf('line', line.isDeadLetter && 'dead', way?.lines.has(line) && 'taken')}>
                <title>${line.isDeadLetter ? 'what fails' : (line.label ?? '')}</title>
              </path>
            `,
          )}
          ${nodes.map(
            node => html`
              <g key=${node.key} class=${classOf('node', node.kind, way?.keys.has(node.key) && 'taken')} transform=${`translate(${node.x} ${node.y})`}>
                <title>${node.title}</title>
                <rect width=${node.width} height=${node.height} rx=${node.kind === 'channel' ? node.height / 2 : 6} />
                <text x="10" y=${node.note === undefined ? 22 : 15}>${node.label}</text>
                ${node.note !== undefined && html`<text x="10" y="29" class="note">${node.note}</text>`}
              </g>
            `,
          )}
        </svg>
      </div>
    </section>
  `
}

/** The lines and nodes that a message has taken. */
function wayOf({ topic, routes, failures }, nodes, lines) {
  const label = new Map(nodes.map(({ key, title }) => [key, title]))
  const taken = new Map(routes.filter(({ state }) => state === 'took').map(route => [route.route, route]))
  const failed = new Set(failures.map(({ route }) => route))
  const way = lines.filter(line => {
    const route = taken.get(label.get(line.toKey)) ?? taken.get(label.get(line.fromKey))
    if (route === undefined) return false
    if (line.positions.length === 0) return isFrom(topic, label.get(line.fromKey))
    if (line.isDeadLetter) return failed.has(route.route)
    return route.actions.some(({ position, state }) => line.positions.includes(position) && state !== 'skipped')
  })
  return { lines: new Set(way), keys: new Set(way.flatMap(({ fromKey, toKey }) => [fromKey, toKey])) }
}

/** A topic by name, or the pattern that it fits. */
function isFrom(topic, label) {
  return label === topic || (label.startsWith('/') && label.endsWith('/') && label.length > 1)
}

function classOf(...names) {
  return names.filter(Boolean).join(' ')
}
