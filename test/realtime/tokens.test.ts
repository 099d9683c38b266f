import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer, type RequestListener } from 'node:http'
import { exportJWK, type JWTPayload, SignJWT } from 'jose'
import Pusher from 'pusher'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { JwtConfig } from '../../src/config/router-config.ts'
import { listen } from '../../src/realtime/listen.ts'
import type { ResolvedApp } from '../../src/realtime/settings.ts'
import {
  app,
  asks,
  connectedClient,
  fieldsOf,
  nextOf,
  pusherClient,
  type RawClient,
  rawClient,
  type ServerSetup,
  startServer,
  until,
} from './harness.ts'

const secret = 'a secret of at least 32 characters'
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const otherEc = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })

function taking(jwt: Partial<JwtConfig> = {}): ResolvedApp {
  const defaults = { key: { kind: 'secret', secret }, algorithms: ['HS256'], clockToleranceMs: 0 } as const
  return { ...app, clientEvents: true, jwt: { ...defaults, issuer: undefined, audience: undefined, ...jwt } }
}

function pemOf({ publicKey }: { readonly publicKey: KeyObject }): string {
  return publicKey.export({ type: 'spki', format: 'pem' }).toString()
}

interface Signing {
  readonly key?: KeyObject | Uint8Array
  readonly alg?: string
  readonly kid?: string
  /** Epoch seconds; 0 leaves it out. */
  readonly exp?: number
}

const inAnHour = Math.floor(Date.now() / 1000) + 3_600

function token(claims: JWTPayload, { key = Buffer.from(secret), alg = 'HS256', kid, exp = inAnHour }: Signing = {}): Promise<string> {
  const written = new SignJWT(claims).setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) })
  return (exp === 0 ? written : written.setExpirationTime(exp)).sign(key)
}

/** Only the calendar moves: timers and sockets go on as they are. */
function passHours(hours: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + hours * 3_600_000 })
  onTestFinished(() => void vi.useRealTimers())
}

const ada = { sub: 'ada', channels: ['private-user.ada', 'presence-room.*', 'private-room.*'], user_info: { name: 'Ada' } }

function start(jwt: Partial<JwtConfig> = {}, setup: ServerSetup = {}) {
  return startServer({ apps: [taking(jwt)], ...setup })
}

/** Subscribes, and gives the answer, whichever it is. */
async function subscription(client: RawClient, channel: string, auth?: string, channelData?: string) {
  client.send({ event: 'pusher:subscribe', data: { channel, auth, channel_data: channelData } })
  const endings = ['pusher_internal:subscription_succeeded', 'pusher:subscription_error']
  return await client.message(message => endings.includes(message.event) && message.channel === channel)
}

function withToken(text: string): { path: string } {
  return { path: `/app/shop-key?protocol=7&token=${text}` }
}

describe('pusher-js, as it comes', () => {
  function client(port: number, given: () => Promise<string>) {
    return pusherClient(port, {
      userAuthentication: {
        endpoint: '',
        transport: 'ajax',
        customHandler: (_request, done) => void given().then(auth => done(null, { auth, user_data: '' })),
      },
      channelAuthorization: {
        endpoint: '',
        transport: 'ajax',
        customHandler: (_request, done) => void given().then(auth => done(null, { auth })),
      },
    })
  }

  test('shows a token instead of a signature, for private and presence channels and for signing in', async () => {
    const { server, port } = await start()
    const pusher = client(port, () => token(ada))
    pusher.signin()
    const [own, room] = [pusher.subscribe('private-user.ada'), pusher.subscribe('presence-room.1')]
    const [, members] = await Promise.all([nextOf(own, 'pusher:subscription_succeeded'), nextOf(room, 'pusher:subscription_succeeded')])
    expect(members).toMatchObject({ count: 1, me: { id: 'ada', info: { name: 'Ada' } } })
    expect(pusher.user.user_data).toEqual({ id: 'ada', user_info: { name: 'Ada' } })
    const received = nextOf(pusher.user, 'hello')
    server.hub.broadcast('shop', '#server-to-user-ada', 'hello', 'you')
    expect(await received).toBe('you')
    const other = await connectedClient(port)
    await other.join('private-room.1')
    await nextOf(pusher.subscribe('private-room.1'), 'pusher:subscription_succeeded')
    other.send({ event: 'client-note', channel: 'private-room.1', data: 'from another' })
    expect(await nextOf(pusher.channel('private-room.1'), 'client-note')).toBe('from another')
  })

  test('a channel that the token does not name is refused, and the connection stays', async () => {
    const { port } = await start()
    const pusher = client(port, () => token(ada))
    expect(await nextOf(pusher.subscribe('private-user.eve'), 'pusher:subscription_error')).toMatchObject({
      type: 'AuthError',
      status: 401,
    })
    expect(pusher.connection.state).toBe('connected')
  })

  test('when the token expires it connects again by itself, asks for a new one, and is back on its channels', async () => {
    const { server, port } = await start({}, { timings: { sweepMs: 20 } })
    let given = 0
    const pusher = client(port, () => {
      given += 1
      return token(ada, given === 1 ? {} : { exp: inAnHour + 36_000 })
    })
    const channel = pusher.subscribe('private-user.ada')
    await nextOf(channel, 'pusher:subscription_succeeded')
    const back = nextOf(channel, 'pusher:subscription_succeeded')
    passHours(2)
    await back
    expect(server.stats()).toMatchObject({ sockets: 1, closes: { 'token-expired': 1 } })
    const received = nextOf(channel, 'hello')
    server.hub.broadcast('shop', 'private-user.ada', 'hello', 'again')
    expect(await received).toBe('again')
  })
})

describe('a token that the connection brings', () => {
  test('lets its bearer subscribe without more, and signs in', async () => {
    const { server, port } = await start()
    for (const options of [withToken(await token(ada)), { headers: { authorization: `Bearer ${await token(ada)}` } }]) {
      const client = await connectedClient(port, options)
      await client.subscribe('private-user.ada')
      const joined = await client.subscribe('presence-room.1')
      expect(fieldsOf(joined)).toEqual({ presence: { ids: ['ada'], hash: { ada: { name: 'Ada' } }, count: 1 } })
      server.hub.broadcast('shop', '#server-to-user-ada', 'hello', 1)
      await client.event('hello')
    }
  })

  test.each([
    ['that has expired', () => token(ada, { exp: inAnHour - 7_200 })],
    ['without an end', () => token(ada, { exp: 0 })],
    ['without a user', () => token({ channels: ['private-a'] })],
    ['of a user whose id is too long', () => token({ sub: 'x'.repeat(129) })],
    ['whose channels are no list', () => token({ sub: 'ada', channels: 'private-a' })],
    ['with too many channels', () => token({ sub: 'ada', channels: Array.from({ length: 101 }, (_, index) => `private-${index}`) })],
    ['with a channel that cannot be', () => token({ sub: 'ada', channels: ['private-ä'] })],
    ['with too much about the user', () => token({ sub: 'ada', user_info: 'x'.repeat(1_025) })],
    ['of more than 8 kB', () => token({ sub: 'ada', more: 'x'.repeat(8_000) })],
    ['that holds only later', () => token({ ...ada, nbf: inAnHour })],
    ['that somebody else signed', () => token(ada, { key: Buffer.from('another secret, and long enough too') })],
    ['of another algorithm', () => token(ada, { alg: 'HS384' })],
    ['that was changed', async () => (await token(ada)).replace(/\.[^.]+\./, `.${Buffer.from('{"sub":"eve"}').toString('base64url')}.`)],
    ['that is none', async () => 'session-4711'],
    [
      'that claims to need no signature',
      async () =>
        `${[{ alg: 'none' }, { ...ada, exp: inAnHour }].map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.`,
    ],
  ])('%s is refused with 4009, and nothing of it is said', async (_what, make) => {
    const { server, port } = await start()
    const text = await make()
    const client = rawClient(port, withToken(text))
    const { code, reason } = await client.closed
    expect(code).toBe(4009)
    expect(reason).not.toContain(text)
    expect(fieldsOf(await client.event('pusher:error'))['code']).toBe(4009)
    expect(server.stats()).toMatchObject({ sockets: 0, refusals: { token: 1 } })
  })

  test('is closed with 4200 when it expires', async () => {
    const { port } = await start({}, { timings: { sweepMs: 20 } })
    const client = await connectedClient(port, withToken(await token(ada)))
    passHours(2)
    expect(await client.closed).toEqual({ code: 4200, reason: 'The token has expired' })
  })

  test('holds so much longer as the clocks may be apart', async () => {
    const { port } = await start({ clockToleranceMs: 60_000 })
    const client = await connectedClient(port, withToken(await token(ada, { exp: Math.floor(Date.now() / 1000) - 10 })))
    await client.subscribe('private-user.ada')
  })

  test('means nothing where the app takes none', async () => {
    const { port } = await startServer()
    const client = await connectedClient(port, withToken(await token(ada)))
    expect((await subscription(client, 'private-user.ada')).event).toBe('pusher:subscription_error')
    expect((await subscription(client, 'private-user.ada', await token(ada))).event).toBe('pusher:subscription_error')
    client.send({ event: 'router:auth', data: { token: await token(ada) } })
    await client.event('pusher:error')
  })
})

describe('on an established connection', () => {
  test('router:auth says who it is and for how long', async () => {
    const { port } = await start()
    const client = await connectedClient(port)
    client.send({ event: 'router:auth', data: { token: await token(ada) } })
    expect(fieldsOf(await client.event('router:authorized'))).toEqual({ user_id: 'ada', expires_in: expect.any(Number) })
    await client.subscribe('private-user.ada')
  })

  test('a new token in time keeps the connection beyond the end of the first', async () => {
    const { server, port } = await start({}, { timings: { sweepMs: 20 } })
    const first = withToken(await token(ada))
    const [renewed, left] = [await connectedClient(port, first), await connectedClient(port, first)]
    renewed.send({ event: 'router:auth', data: { token: await token(ada, { exp: inAnHour + 36_000 }) } })
    await renewed.event('router:authorized')
    passHours(2)
    expect((await left.closed).code).toBe(4200)
    await renewed.settled()
    expect(server.stats()).toMatchObject({ sockets: 1, closes: { 'token-expired': 1 } })
  })

  test('a new token that allows less lets the client come back to what it still may', async () => {
    const { server, port } = await start()
    const client = await connectedClient(port, withToken(await token(ada)))
    await client.subscribe('private-user.ada')
    client.send({ event: 'router:auth', data: { token: await token({ ...ada, channels: ['private-user.*', 'presence-*'] }) } })
    await client.event('router:authorized')
    client.send({ event: 'router:auth', data: { token: await token({ sub: 'ada' }) } })
    expect((await client.closed).code).toBe(4200)
    expect(server.stats().closes).toEqual({ 'token-replaced': 1 })
  })

  test("another user's token is refused", async () => {
    const { server, port } = await start()
    const client = await connectedClient(port, withToken(await token(ada)))
    const eve = await token({ sub: 'eve', channels: ['private-*'] })
    client.send({ event: 'router:auth', data: { token: eve } })
    expect(fieldsOf(await client.event('pusher:error'))['code']).toBe(4009)
    expect((await subscription(client, 'private-user.eve', eve)).event).toBe('pusher:subscription_error')
    expect(server.stats().refusals).toEqual({ token: 2 })
  })

  test('who a member is says the token, not channel_data', async () => {
    const { port } = await start()
    const client = await connectedClient(port)
    const forged = await subscription(client, 'presence-room.2', await token(ada), JSON.stringify({ user_id: 'eve' }))
    expect(forged).toMatchObject({ event: 'pusher:subscription_error', data: { status: 401 } })
    const channelData = JSON.stringify({ user_id: 'ada', user_info: { name: 'Admin' } })
    const joined = await subscription(client, 'presence-room.1', await token(ada), channelData)
    expect(fieldsOf(joined)).toMatchObject({ presence: { hash: { ada: { name: 'Ada' } } } })
  })

  test('terminate_connections reaches it, and the channels of other users stay closed to any token', async () => {
    const { port } = await start()
    const client = await connectedClient(port, withToken(await token({ ...ada, channels: ['*'] })))
    await client.subscribe('private-anything')
    expect((await subscription(client, '#server-to-user-eve')).event).toBe('pusher:subscription_error')
    const { id: appId, key, secret: appSecret } = app
    const pusher = new Pusher({ appId, key, secret: appSecret, host: '127.0.0.1', port: String(port), useTLS: false })
    await pusher.terminateUserConnections('ada')
    expect((await client.closed).code).toBe(4009)
  })

  test('signatures of the app and `authorize` modules go on beside tokens', async () => {
    const { port } = await start({}, { channels: { 'private-asked.*': asks('may-join.ts') }, findModule: () => () => true })
    const client = await connectedClient(port, withToken(await token(ada)))
    await client.join('private-signed')
    await client.subscribe('private-asked.1')
    expect((await subscription(client, 'private-other')).event).toBe('pusher:subscription_error')
  })

  test('a flood of wrong tokens ends like any flood', async () => {
    const { server, port } = await start({}, { limits: { clientFrames: 5, channels: 5 } })
    const client = await connectedClient(port)
    const wrong = await token(ada, { key: Buffer.from('another secret, and long enough too') })
    for (let index = 0; index < 50; index += 1) client.send({ event: 'router:auth', data: { token: wrong } })
    expect((await client.closed).code).toBe(4100)
    expect(server.stats().closes).toEqual({ 'too-fast': 1 })
  })
})

describe('event streams', () => {
  test('take a token as parameter or header, and refuse a wrong one', async () => {
    const { server, http } = await start()
    const url = `${http}/sse?channels=private-user.ada`
    for (const request of [
      new Request(`${url}&token=${await token(ada)}`),
      new Request(url, { headers: { authorization: `Bearer ${await token(ada)}` } }),
    ]) {
      const response = await fetch(request)
      expect(response.status).toBe(200)
      await response.body?.cancel()
    }
    expect((await fetch(`${url}&token=${await token(ada, { exp: inAnHour - 7_200 })}`)).status).toBe(401)
    expect((await fetch(url)).status).toBe(401)
    expect(server.stats().refusals).toEqual({ token: 1, 'subscription-auth': 1 })
  })
})

test('an event stream ends with its token', async () => {
  const { server, http } = await start({}, { timings: { sweepMs: 20 } })
  const response = await fetch(`${http}/sse?channels=private-user.ada&token=${await token(ada)}`)
  passHours(2)
  await response.text()
  await until(() => server.stats().sockets === 0)
  expect(server.stats().closes).toEqual({ 'token-expired': 1 })
})

describe('keys', () => {
  const byKey = { issuer: 'https://id.example', audience: 'shop-events' }

  test.each([
    ['an EC key', ec, 'ES256'],
    ['an RSA key', rsa, 'RS256'],
  ] as const)('%s checks what it has signed, for this issuer and audience', async (_what, pair, alg) => {
    const jwt: Partial<JwtConfig> = { key: { kind: 'public-key', pem: pemOf(pair) }, algorithms: [alg], ...byKey }
    const { port } = await start(jwt)
    const claims = { ...ada, iss: byKey.issuer, aud: ['other', byKey.audience] }
    const client = await connectedClient(port, withToken(await token(claims, { key: pair.privateKey, alg })))
    await client.subscribe('private-user.ada')
    for (const [wrong, signing] of [
      [
        { ...claims, iss: 'https://evil.example' },
        { key: pair.privateKey, alg },
      ],
      [
        { ...claims, aud: 'other' },
        { key: pair.privateKey, alg },
      ],
      [ada, { key: pair.privateKey, alg }],
      // The public key is known to everybody: it must not do as the secret of an HMAC.
      [claims, { key: Buffer.from(pemOf(pair)), alg: 'HS256' }],
    ] as const) {
      expect((await rawClient(port, withToken(await token(wrong, signing))).closed).code).toBe(4009)
    }
  })

  test('a token for a key of another kind is refused', async () => {
    const { port } = await start({ key: { kind: 'public-key', pem: pemOf(rsa) }, algorithms: ['RS256', 'ES256'] })
    const text = await token(ada, { key: ec.privateKey, alg: 'ES256' })
    expect((await rawClient(port, withToken(text)).closed).code).toBe(4009)
  })

  async function keyServer(serve: RequestListener): Promise<Partial<JwtConfig>> {
    const server = createServer(serve)
    const { port } = await listen(server, { host: '127.0.0.1', port: 0 }, 'test', () => {})
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    return { key: { kind: 'jwks', url: `http://127.0.0.1:${port}/keys` }, algorithms: ['ES256'] }
  }

  const es256 = (kid: string, key = ec.privateKey): Signing => ({ key, alg: 'ES256', kid })

  test('a key set is fetched once for many, and unknown key ids do not make it fetched again', async () => {
    let asked = 0
    const set = JSON.stringify({ keys: [{ ...(await exportJWK(ec.publicKey)), kid: 'one', alg: 'ES256' }] })
    const jwt = await keyServer((_request, response) => {
      asked += 1
      response.end(set)
    })
    const { port } = await start(jwt)
    const text = await token(ada, es256('one'))
    const clients = await Promise.all(Array.from({ length: 10 }, () => connectedClient(port, withToken(text))))
    for (const client of clients) await client.subscribe('private-user.ada')
    for (const kid of ['two', 'three']) {
      expect((await rawClient(port, withToken(await token(ada, es256(kid)))).closed).code).toBe(4009)
    }
    expect((await rawClient(port, withToken(await token(ada, es256('one', otherEc.privateKey)))).closed).code).toBe(4009)
    expect(asked).toBe(1)
  })

  test.each<[string, RequestListener]>([
    ['answers with an error', (_request, response) => response.writeHead(500).end('{"keys":[]}')],
    ['leads elsewhere', (_request, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()],
    ['is no key set', (_request, response) => response.end('<html>')],
    ['is too large', (_request, response) => response.end(`{"keys":[],"x":"${'x'.repeat(70_000)}"}`)],
    ['hangs up', (_request, response) => response.destroy()],
  ])('a key set that %s lets nobody in, and clients come back; it is not asked for each of them', async (_what, serve) => {
    let asked = 0
    const jwt = await keyServer((request, response) => {
      asked += 1
      serve(request, response)
    })
    const { server, port } = await start(jwt)
    for (let attempt = 0; attempt < 3; attempt += 1) {
      expect((await rawClient(port, withToken(await token(ada, es256('one')))).closed).code).toBe(4100)
    }
    const client = await connectedClient(port)
    expect(await subscription(client, 'private-user.ada', await token(ada, es256('one')))).toMatchObject({ data: { status: 503 } })
    expect(asked).toBeLessThan(4)
    expect(server.stats().refusals).toEqual({ token: 4 })
  })

  test('stopping does not wait for a key set that does not answer', async () => {
    let asked = 0
    const jwt = await keyServer(() => {
      asked += 1
    })
    const { server, port, http } = await start(jwt)
    const text = await token(ada, es256('one'))
    const client = rawClient(port, withToken(text))
    const stream = fetch(`${http}/sse?channels=private-user.ada&token=${text}`)
    await until(() => asked === 1)
    const established = await connectedClient(port)
    established.send({ event: 'pusher:subscribe', data: { channel: 'private-user.ada', auth: text } })
    await established.settled()
    await server.close({ graceMs: 500 })
    expect((await client.closed).code).toBe(1006)
    expect((await established.closed).code).toBe(4100)
    expect((await stream).status).toBe(503)
  })

  test('a socket that goes while its token is checked leaves nothing behind', async () => {
    const waiting: (() => void)[] = []
    const jwt = await keyServer((_request, response) => waiting.push(() => response.end('{"keys":[]}')))
    const { server, port } = await start(jwt)
    const client = rawClient(port, withToken(await token(ada, es256('one'))))
    await until(() => waiting.length === 1)
    client.webSocket.terminate()
    await client.closed
    for (const answer of waiting) answer()
    await (await connectedClient(port)).settled()
    expect(server.stats().sockets).toBe(1)
  })
})
