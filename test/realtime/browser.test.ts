import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { type Browser, chromium, type Page } from 'playwright-core'
import Pusher from 'pusher'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AuthorizeRequest } from '../../src/realtime/authorize.ts'
import type { RealtimeServer } from '../../src/realtime/realtime-server.ts'
import { app, asks, makeServer } from './harness.ts'

const executablePath = '/usr/bin/chromium'
const patient = { timeout: 30_000 }
const script = createRequire(import.meta.url).resolve('pusher-js/dist/web/pusher-with-encryption.min.js')

/** pusher-js as a page uses it: `subscribe` and `heard` answer with what it is told, whether it came before or comes later. */
const page = `<!doctype html><title>shop</title><script src="/pusher.js"></script><script>
const seen = []
const waiting = []
const note = (channel, event, data) => { seen.push({ channel, event, data }); for (const wake of waiting.splice(0)) wake() }
const pusher = new Pusher('shop-key', {
  cluster: 'local', wsHost: '127.0.0.1', wsPort: location.port, forceTLS: false, enabledTransports: ['ws'],
  channelAuthorization: { endpoint: '/pusher/auth', transport: 'ajax' },
  userAuthentication: { endpoint: '/pusher/user-auth', transport: 'ajax' },
})
pusher.connection.bind_global((event, data) => note('connection', event, data))
pusher.user.bind_global((event, data) => note('user', event, data))
async function heard(channel, event) {
  for (;;) {
    const found = seen.find(each => each.channel === channel && each.event === event)
    if (found !== undefined) return JSON.parse(JSON.stringify(found.data ?? null))
    await new Promise(resolve => waiting.push(resolve))
  }
}
function subscribe(channel) {
  pusher.subscribe(channel).bind_global((event, data) => note(channel, event, data))
  return Promise.race([heard(channel, 'pusher:subscription_succeeded'), heard(channel, 'pusher:subscription_error')])
}
</script>`

describe.skipIf(!existsSync(executablePath))('pusher-js in Chromium (needs /usr/bin/chromium)', () => {
  let browser: Browser
  let server: RealtimeServer
  let port = 0
  let backend: Pusher
  /** One page for all tests: each has channels of its own. */
  let ada: Page

  beforeAll(async () => {
    const pusherScript = await readFile(script)
    const rule = asks('may-join.ts')
    server = makeServer({
      apps: [{ ...app, clientEvents: true, subscriptionCount: true }],
      channels: { 'private-*': rule, 'presence-*': rule, '#server-to-user-*': rule },
      findModule: () => mayJoin,
      endpoints: {
        extra: (_request, response, { pathname }) => {
          response.setHeader('content-type', pathname === '/pusher.js' ? 'text/javascript' : 'text/html')
          response.end(pathname === '/pusher.js' ? pusherScript : page)
          return true
        },
      },
    })
    port = (await server.listen()).port
    const encryptionMasterKeyBase64 = Buffer.alloc(32, 7).toString('base64')
    const { id: appId, key, secret } = app
    backend = new Pusher({ appId, key, secret, host: '127.0.0.1', port: String(port), useTLS: false, encryptionMasterKeyBase64 })
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
    ada = await visit('ada')
  }, patient.timeout)

  afterAll(async () => {
    await browser.close()
    await server.close({ graceMs: 500 })
  })

  /** Whoever the cookie names may join what is theirs, and every room. */
  function mayJoin({ channel, cookie }: AuthorizeRequest) {
    const { user } = cookie
    if (user === undefined || channel?.startsWith('private-user.') === (channel !== `private-user.${user}`)) return false
    if (channel?.startsWith('private-encrypted-') !== true) return { user_id: user, user_info: { name: user.toUpperCase() } }
    return { shared_secret: String(backend.authorizeChannel('1.1', channel).shared_secret) }
  }

  /** A browser of its own, with the cookie of somebody who has logged in. */
  async function visit(user: string, host = '127.0.0.1'): Promise<Page> {
    const context = await browser.newContext()
    await context.addCookies([{ name: 'user', value: user, domain: '127.0.0.1', path: '/' }])
    const opened = await context.newPage()
    await opened.goto(`http://${host}:${port}/`)
    return opened
  }

  test('public channels', patient, async () => {
    await ada.evaluate('subscribe("news")')
    expect(await ada.evaluate('heard("news", "pusher:subscription_count")')).toEqual({ subscription_count: 1 })
    server.hub.broadcast('shop', 'news', 'headline', { text: 'größer – 🚂' })
    expect(await ada.evaluate('heard("news", "headline")')).toEqual({ text: 'größer – 🚂' })
  })

  test('private channels through the authorisation endpoint, by cookie', patient, async () => {
    await ada.evaluate('subscribe("private-user.ada")')
    server.hub.broadcast('shop', 'private-user.ada', 'hello', 'you')
    expect(await ada.evaluate('heard("private-user.ada", "hello")')).toBe('you')
    expect(await ada.evaluate('subscribe("private-user.eve")')).toMatchObject({ type: 'AuthError', status: 403 })
    expect(await ada.evaluate('pusher.connection.state')).toBe('connected')
  })

  test('presence channels and client events between two browsers', patient, async () => {
    const bob = await visit('bob')
    await ada.evaluate('subscribe("presence-room.1")')
    expect(await bob.evaluate('subscribe("presence-room.1")')).toMatchObject({ count: 2, me: { id: 'bob', info: { name: 'BOB' } } })
    expect(await ada.evaluate('heard("presence-room.1", "pusher:member_added")')).toEqual({ id: 'bob', info: { name: 'BOB' } })
    await bob.evaluate('pusher.channel("presence-room.1").trigger("client-typing", { in: "line 7" })')
    expect(await ada.evaluate('heard("presence-room.1", "client-typing")')).toEqual({ in: 'line 7' })
    await bob.close()
    expect(await ada.evaluate('heard("presence-room.1", "pusher:member_removed")')).toMatchObject({ id: 'bob' })
  })

  test('encrypted channels', patient, async () => {
    await ada.evaluate('subscribe("private-encrypted-secrets")')
    await backend.trigger('private-encrypted-secrets', 'note', { text: 'between us' })
    expect(await ada.evaluate('heard("private-encrypted-secrets", "note")')).toEqual({ text: 'between us' })
  })

  test.each(['cache-prices', 'private-cache-prices', 'presence-cache-prices'])('%s', patient, async channel => {
    await ada.evaluate(`subscribe("${channel}")`)
    await ada.evaluate(`heard("${channel}", "pusher:cache_miss")`)
    await backend.trigger(channel, 'price', 42)
    expect(await ada.evaluate(`heard("${channel}", "price")`)).toBe(42)
    await ada.evaluate(`pusher.unsubscribe("${channel}"), seen.splice(0)`)
    await ada.evaluate(`subscribe("${channel}")`)
    expect(await ada.evaluate(`heard("${channel}", "price")`)).toBe(42)
  })

  test('an encrypted cache channel gives its last event, decrypted', patient, async () => {
    const channel = 'private-encrypted-cache-prices'
    await backend.trigger(channel, 'price', { eur: 42 })
    await ada.evaluate(`subscribe("${channel}")`)
    expect(await ada.evaluate(`heard("${channel}", "price")`)).toEqual({ eur: 42 })
  })

  test('signing in, events to a user, and the end of its connections', patient, async () => {
    await ada.evaluate('pusher.signin()')
    await ada.evaluate('pusher.user.signinDonePromise')
    expect(await ada.evaluate('pusher.user.user_data')).toMatchObject({ id: 'ada' })
    await backend.sendToUser('ada', 'hello', 'everywhere')
    expect(await ada.evaluate('heard("user", "hello")')).toBe('everywhere')
    await backend.terminateUserConnections('ada')
    await ada.evaluate('heard("connection", "disconnected")')
  })

  test('a page of another origin may not connect', patient, async () => {
    const stranger = await visit('ada', 'localhost')
    expect(await stranger.evaluate('heard("connection", "error")')).toMatchObject({ error: { data: { code: 4009 } } })
    await stranger.evaluate('heard("connection", "disconnected")')
  })
})
