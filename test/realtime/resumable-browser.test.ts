import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { app, startServer, until } from './harness.ts'

const executablePath = '/usr/bin/chromium'
const patient = { timeout: 60_000 }
/** What `signalbox/client` is for those who install the package. */
const client = new URL('../../dist/client/resumable.js', import.meta.url)
const pusherJs = createRequire(import.meta.url).resolve('pusher-js/dist/web/pusher.min.js')

/** A shop's page with one line more: `got` are the events of `kept`, in the order in which the page was told of them. */
const page = `<!doctype html><title>shop</title><script src="/pusher.js"></script><script type="module">
import { resumable } from '/client.js'
Object.assign(window, { got: [], gaps: [], resumed: [], isSubscribed: false })
const pusher = new Pusher('shop-key', {
  cluster: 'local', wsHost: '127.0.0.1', wsPort: location.port, forceTLS: false, enabledTransports: ['ws'],
})
resumable(pusher, { onGap: (...gap) => gaps.push(gap), onResumed: (...of) => resumed.push(of) })
const channel = pusher.subscribe('kept')
channel.bind('e', ({ n }) => got.push(n))
channel.bind('pusher:subscription_succeeded', () => { window.isSubscribed = true })
</script>`

describe.skipIf(!existsSync(executablePath))('signalbox/client in Chromium (needs /usr/bin/chromium)', () => {
  let browser: Browser

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  })
  afterAll(() => browser.close())

  /** The page on a channel that keeps `size` events, behind a connection that can be cut. */
  async function visit(size: number) {
    const files: Readonly<Record<string, readonly [type: string, content: string | Buffer]>> = {
      '/': ['text/html', page],
      '/pusher.js': ['text/javascript', await readFile(pusherJs)],
      '/client.js': ['text/javascript', await readFile(client)],
    }
    const { server, port } = await startServer({
      channels: { kept: { history: { size, ttlMs: 60_000, bytes: 1_000_000 } } },
      endpoints: {
        extra: (_request, response, { pathname }) => {
          const [type, content] = files[pathname] ?? ['text/plain', '']
          response.setHeader('content-type', type)
          response.end(content)
          return true
        },
      },
    })
    const proxy = await TcpProxy.to(port)
    onTestFinished(() => proxy.close())
    const shop = await browser.newPage()
    onTestFinished(() => shop.close())
    await shop.goto(`http://127.0.0.1:${proxy.port}/`)
    await shop.waitForFunction('window.isSubscribed', undefined, patient)
    let last = 0
    const send = (amount: number) => {
      for (const until = last + amount; last < until; ) server.hub.broadcast(app.id, 'kept', 'e', { n: ++last })
    }
    const cut = async () => {
      proxy.cutAll()
      await until(() => server.stats().sockets === 0)
    }
    const becomes = (expression: string) => shop.waitForFunction(expression, undefined, patient)
    return { shop, send, cut, becomes }
  }

  test('a page that is cut off again and again gets all events in order, each once', patient, async () => {
    const { shop, send, cut, becomes } = await visit(100)
    send(3)
    await becomes('got.length === 3')
    for (let cuts = 1; cuts <= 2; cuts++) {
      send(5)
      await cut()
      send(5)
      await becomes(`resumed.length === ${cuts}`)
      send(5)
    }
    await becomes('got.length >= 33')
    expect(await shop.evaluate('got')).toEqual(Array.from({ length: 33 }, (_, index) => index + 1))
    expect(await shop.evaluate('gaps')).toEqual([])
  })

  test('a page that has missed something for good is told, and goes on', patient, async () => {
    const { shop, send, cut, becomes } = await visit(2)
    send(1)
    await becomes('got.length === 1')
    await cut()
    send(3)
    await becomes('gaps.length === 1')
    send(1)
    await becomes('got.length === 2')
    expect(await shop.evaluate('got')).toEqual([1, 5])
    expect(await shop.evaluate('gaps')).toEqual([['kept', 'position_expired']])
    expect(await shop.evaluate('resumed')).toEqual([])
  })
})
