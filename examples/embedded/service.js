// A small web service that has the router inside: it takes orders over HTTP, and whoever ordered hears of it over WebSocket.
import { createServer } from 'node:http'
import { json } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { createRouter, StartError } from 'signalbox'

const port = Number(process.env['PORT'] ?? 8080)
const socketPort = Number(process.env['SOCKET_PORT'] ?? 6001)
let orders = 0

const router = await createRouter({
  root: fileURLToPath(new URL('.', import.meta.url)),
  port: socketPort,
  onReload: result => console.log(`routes: ${result.kind}`),
}).catch(error => {
  if (!(error instanceof StartError)) throw error
  console.error(error.message, error.hint ?? '', ...error.problems.map(({ file, message }) => `\n${file}: ${message}`))
  process.exit(1)
})
await router.ready

const service = createServer(async (request, response) => {
  if (request.method !== 'POST' || request.url !== '/orders') return response.writeHead(404).end()
  try {
    const order = await json(request)
    if (!Number.isInteger(order?.user_id)) return response.writeHead(422).end('user_id is missing\n')
    const data = { order_id: ++orders, user_id: order.user_id }
    await router.publish({ topic: 'orders', event: 'order.accepted', key: String(order.user_id), data })
    response.writeHead(202, { 'content-type': 'application/json' }).end(`${JSON.stringify(data)}\n`)
  } catch (error) {
    response.writeHead(error instanceof SyntaxError ? 400 : 503).end(`${error.message}\n`)
  }
})

service.listen(port, '127.0.0.1', () => {
  console.log(`orders on http://127.0.0.1:${service.address().port}, sockets on ws://127.0.0.1:${router.address.port}`)
})

// The service first, so that nothing is published any more; then the router, which ends what is under way.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => service.close(() => router.stop()))
