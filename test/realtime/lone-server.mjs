// A realtime server alone in its process: its memory is what connections cost, and it can be killed. Talks to its parent over IPC. Its argument
// is JSON: what differs in the configuration.
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createJiti } from 'jiti'

const jiti = createJiti(import.meta.url)
const load = path => jiti.import(fileURLToPath(new URL(`../../src/${path}`, import.meta.url)))
const { createRealtimeServer } = await load('realtime/realtime-server.ts')
const { readRouterConfig } = await load('config/read-router-config.ts')

const { config } = readRouterConfig('/shop', undefined, 'dev', () => false)
const quiet = () => {}
const server = createRealtimeServer({
  config: {
    ...config.server,
    host: '127.0.0.1',
    port: 0,
    apps: [{ id: 'shop', key: 'shop-key', secret: 'shop-secret' }],
    channels: [],
    backplane: config.backplane,
    ...JSON.parse(process.argv[2] ?? '{}'),
  },
  log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  mode: 'run',
  endpoints: { ready: () => ({ ok: true, body: {} }), metrics: async () => ({ contentType: 'text/plain', body: '' }) },
})
const { port } = await server.listen()

process.on('message', async () => {
  for (let round = 0; round < 5; round += 1) {
    globalThis.gc?.()
    await delay(100)
  }
  process.send?.({ ...process.memoryUsage(), ...server.stats() })
})
process.once('SIGTERM', async () => {
  await server.close({ graceMs: 2_000 })
  process.exit(0)
})
process.send?.({ port })
