/** Widths and places of the three columns, in the picture's own units; a character takes about 6.6 of them. */
const columns = [
  { x: 8, width: 190 },
  { x: 300, width: 230 },
  { x: 632, width: 260 },
]
const characterWidth = 6.6
const nodeHeight = 36
const step = 42
const margin = 8

export const pictureWidth = 900

/** Places topics on the left, routes in the middle, what they lead to on the right. A topic that is read and written stands on both sides. */
export function layOut({ nodes, edges }) {
  const byId = new Map(nodes.map(node => [node.id, node]))
  const isRoute = id => byId.get(id)?.kind === 'route'
  const eventsOf = new Map(edges.filter(({ to }) => isRoute(to)).map(({ to, label }) => [to, label]))
  const stacks = [
    unique(edges.filter(({ to }) => isRoute(to)).map(({ from }) => from)),
    nodes.filter(({ kind }) => kind === 'route').map(({ id }) => id),
    unique(edges.filter(({ from }) => isRoute(from)).map(({ to }) => to)),
  ]
  const rows = Math.max(1, ...stacks.map(stack => stack.length))
  const placed = new Map()
  for (const [column, stack] of stacks.entries()) {
    const top = margin + ((rows - stack.length) * step) / 2
    for (const [row, id] of stack.entries()) {
      const node = byId.get(id)
      if (node === undefined) continue
      const { x, width } = columns[column]
      const most = Math.floor((width - 20) / characterWidth)
      placed.set(`${column} ${id}`, {
        ...node,
        key: `${column} ${id}`,
        x,
        y: top + row * step,
        width,
        height: nodeHeight,
        title: node.label,
        label: short(node.label, most),
        note: column === 1 ? short(eventsOf.get(id) ?? 'every event', most) : undefined,
      })
    }
  }
  const lines = edges.flatMap(edge => {
    const column = isRoute(edge.to) ? 0 : 1
    const from = placed.get(`${column} ${edge.from}`)
    const to = placed.get(`${column + 1} ${edge.to}`)
    return from === undefined || to === undefined ? [] : [{ ...edge, fromKey: from.key, toKey: to.key, path: curve(from, to) }]
  })
  return { nodes: [...placed.values()], lines, height: rows * step + 2 * margin - (step - nodeHeight) }
}

function curve(from, to) {
  const [x1, y1] = [from.x + from.width, from.y + from.height / 2]
  const [x2, y2] = [to.x, to.y + to.height / 2]
  const middle = (x1 + x2) / 2
  return `M${x1} ${y1} C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`
}

/** The end of a name says more than its middle. */
function short(text, most) {
  if (text.length <= most) return text
  const head = Math.ceil((most - 1) / 2)
  return `${text.slice(0, head)}…${text.slice(text.length - (most - 1 - head))}`
}

function unique(values) {
  return [...new Set(values)]
}
