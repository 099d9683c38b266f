import { createHash } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import Pusher from 'pusher'
import { expect, test } from 'vitest'
import { requestText, sign } from '../../src/realtime/signature.ts'
import { app, connectedClient, makeServer, nextOf, pusherClient, startServer } from './harness.ts'

function pusherServer(port: number, options: { readonly appId?: string; readonly key?: string; readonly secret?: string } = {}): Pusher {
  return new Pusher({ appId: app.id, key: app.key, secret: app.secret, host: '127.0.0.1', port: String(port), useTLS: false, ...options })
}

test('the pusher package triggers events that pusher-js receives', async () => {
  const { port } = await startServer()
  const first = pusherClient(port)
  const channels = [first.subscribe('orders'), pusherClient(port).subscribe('users')]
  await Promise.all(channels.map(channel => nextOf(channel, 'pusher:subscription_succeeded')))
  const received = Promise.all(channels.map(channel => nextOf(channel, 'greeting')))
  const response = await pusherServer(port).trigger(['orders', 'users', 'empty'], 'greeting', { text: 'größer 🚂' })
  expect(response.status).toBe(200)
  expect(await response.json()).toEqual({})
  expect(await received).toEqual([{ text: 'größer 🚂' }, { text: 'größer 🚂' }])
})

test('data that is text already reaches clients as it is', async () => {
  const { port } = await startServer()
  const client = await connectedClient(port)
  await client.subscribe('orders')
  await pusherServer(port).trigger('orders', 'raw', 'not "JSON"')
  expect((await client.event('raw')).data).toBe('not "JSON"')
})

test('socket_id leaves out the socket that caused the event', async () => {
  const { port } = await startServer()
  const [sender, other] = await Promise.all([connectedClient(port), connectedClient(port)])
  await Promise.all([sender.subscribe('orders'), other.subscribe('orders')])
  const pusher = pusherServer(port)
  await pusher.trigger('orders', 'first', 1, { socket_id: await sender.socketId() })
  await pusher.trigger('orders', 'second', 2)
  await Promise.all([sender.event('second'), other.event('second')])
  expect(sender.received.some(message => message.event === 'first')).toBe(false)
  expect(other.received.some(message => message.event === 'first')).toBe(true)
})

test.each([
  ['a wrong secret', { secret: 'guess' }, 401],
  ['another key', { key: 'other-key' }, 401],
  ['an unknown app', { appId: 'nobody' }, 404],
])('the pusher package is told about %s', async (_what, options, status) => {
  const { server, port } = await startServer()
  await expect(pusherServer(port, options).trigger('orders', 'event', 1)).rejects.toMatchObject({
    status,
    body: expect.stringContaining('"error"'),
  })
  expect(server.stats()).toMatchObject({ broadcasts: 0, refusals: { 'api-auth': 1 } })
})

interface ApiCall {
  readonly body?: unknown
  readonly path?: string
  readonly change?: (parameters: Map<string, string>) => void
  /** Applied after signing. */
  readonly tamper?: (parameters: Map<string, string>) => void
  readonly sentBody?: string
}

/** A request signed by hand, so that each part of it can be wrong. */
async function callApi(
  http: string,
  { body, path = '/apps/shop/events', change, tamper, sentBody }: ApiCall,
): Promise<{ status: number; body: unknown }> {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const parameters = new Map([
    ['auth_key', app.key],
    ['auth_timestamp', String(Math.floor(Date.now() / 1000))],
    ['auth_version', '1.0'],
    ['body_md5', createHash('md5').update(text).digest('hex')],
  ])
  change?.(parameters)
  parameters.set('auth_signature', sign(app.secret, requestText('POST', path, parameters)))
  tamper?.(parameters)
  const response = await fetch(`${http}${path}?${new URLSearchParams([...parameters])}`, { method: 'POST', body: sentBody ?? text })
  return { status: response.status, body: await response.json() }
}

const event = { name: 'event', data: '{}', channel: 'orders' }

test('a request signed by hand is taken, with its parameters in any order and case', async () => {
  const { http } = await startServer()
  expect(await callApi(http, { body: event })).toEqual({ status: 200, body: {} })
  const upperCase = (parameters: Map<string, string>): void => {
    parameters.set('AUTH_KEY', app.key)
    parameters.delete('auth_key')
  }
  expect(await callApi(http, { body: event, tamper: upperCase })).toEqual({ status: 200, body: {} })
})

test.each<[string, Partial<ApiCall>]>([
  ['a signature of something else', { tamper: parameters => parameters.set('extra', '1') }],
  ['no signature', { tamper: parameters => parameters.delete('auth_signature') }],
  ['a body that was changed', { sentBody: JSON.stringify({ ...event, channel: 'private-other' }) }],
  ['no body_md5', { change: parameters => parameters.delete('body_md5') }],
  [
    'a timestamp of eleven minutes ago',
    { change: parameters => parameters.set('auth_timestamp', String(Date.now() / 1000 - 660).split('.')[0] ?? '') },
  ],
  [
    'a timestamp in eleven minutes',
    { change: parameters => parameters.set('auth_timestamp', String(Date.now() / 1000 + 660).split('.')[0] ?? '') },
  ],
  ['a timestamp that is no number', { change: parameters => parameters.set('auth_timestamp', 'soon') }],
  ['no timestamp', { change: parameters => parameters.delete('auth_timestamp') }],
  ['another version', { change: parameters => parameters.set('auth_version', '2.0') }],
  ['no key', { change: parameters => parameters.delete('auth_key') }],
])('%s is refused with 401', async (_what, call) => {
  const { server, http } = await startServer()
  expect(await callApi(http, { body: event, ...call })).toEqual({ status: 401, body: { error: expect.any(String) } })
  expect(server.stats().broadcasts).toBe(0)
})

test('a parameter that stands twice is refused, whichever of the two was signed', async () => {
  const { http } = await startServer()
  const twice = (parameters: Map<string, string>): void => void parameters.set('Auth_Key', app.key)
  expect((await callApi(http, { body: event, tamper: twice })).status).toBe(401)
})

test.each([
  ['text that is not JSON', 'hello', 400],
  ['a list', [], 400],
  ['no name', { ...event, name: undefined }, 400],
  ['an empty name', { ...event, name: '' }, 400],
  ['a name of 201 characters', { ...event, name: 'x'.repeat(201) }, 400],
  ['a reserved name', { ...event, name: 'pusher:subscribe' }, 400],
  ['data that is not text', { ...event, data: { a: 1 } }, 400],
  ['no data', { ...event, data: undefined }, 400],
  ['no channel', { ...event, channel: undefined }, 400],
  ['both channel and channels', { ...event, channels: ['a'] }, 400],
  ['no channels', { name: 'event', data: '{}', channels: [] }, 400],
  ['101 channels', { name: 'event', data: '{}', channels: Array.from({ length: 101 }, (_, index) => `c${index}`) }, 400],
  ['a channel that is not text', { name: 'event', data: '{}', channels: ['a', 7] }, 400],
  ['an illegal channel', { ...event, channel: 'a/b' }, 400],
  ['one illegal channel among many', { name: 'event', data: '{}', channels: ['orders', 'a b'] }, 400],
  ['a socket id that is none', { ...event, socket_id: 'me' }, 400],
  ['info about something else', { ...event, info: 'user_count,password' }, 400],
  ['data over the limit', { ...event, data: 'x'.repeat(10 * 1024 + 1) }, 413],
  ['data over the limit in bytes', { ...event, data: '€'.repeat(4_000) }, 413],
  ['a body far over the limit', { ...event, data: 'x'.repeat(300_000) }, 413],
])('%s is refused, and nothing is sent', async (_what, body, status) => {
  const { server, port, http } = await startServer()
  const client = await connectedClient(port)
  await client.subscribe('orders')
  const { framesOut } = server.stats()
  expect(await callApi(http, { body })).toEqual({ status, body: { error: expect.any(String) } })
  expect(server.stats()).toMatchObject({ framesOut, refusals: { 'api-request': 1 } })
})

test('100 channels and data of exactly the limit are taken', async () => {
  const { http } = await startServer()
  const body = {
    name: 'x'.repeat(200),
    data: '\u0001'.repeat(10 * 1024),
    channels: Array.from({ length: 100 }, (_, index) => `${index}`.padStart(200, 'c')),
  }
  expect(await callApi(http, { body })).toEqual({ status: 200, body: {} })
})

test('health and readiness answer on the public port', async () => {
  let ok = false
  const { http } = await startServer({ endpoints: { ready: () => ({ ok, body: { consumers: ok ? 'joined' : 'joining' } }) } })
  expect((await fetch(`${http}/healthz`)).status).toBe(200)
  const early = await fetch(`${http}/readyz`)
  expect([early.status, await early.json()]).toEqual([503, { consumers: 'joining' }])
  ok = true
  const later = await fetch(`${http}/readyz`)
  expect([later.status, await later.json()]).toEqual([200, { consumers: 'joined' }])
  expect((await fetch(`${http}/readyz`, { method: 'HEAD' })).status).toBe(200)
})

test('without an admin address this machine reads /metrics, and requests that were forwarded do not', async () => {
  const { http } = await startServer()
  const metrics = await fetch(`${http}/metrics`)
  expect([metrics.status, await metrics.text()]).toEqual([200, 'signalbox_up 1\n'])
  for (const header of ['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'forwarded', 'x-real-ip', 'via']) {
    expect((await fetch(`${http}/metrics`, { headers: { [header]: '127.0.0.1' } })).status).toBe(404)
  }
})

test('with an admin address metrics are served there only, and both ports answer health', async () => {
  const { http, adminPort } = await startServer({ admin: { host: '127.0.0.1', port: 0 } })
  const admin = `http://127.0.0.1:${adminPort}`
  expect((await fetch(`${http}/metrics`)).status).toBe(404)
  expect(await (await fetch(`${admin}/metrics`)).text()).toBe('signalbox_up 1\n')
  for (const base of [http, admin]) for (const path of ['/healthz', '/readyz']) expect((await fetch(`${base}${path}`)).status).toBe(200)
  expect((await fetch(`${admin}/apps/shop/events`, { method: 'POST' })).status).toBe(404)
})

test('an endpoint that fails is a 500 without details, and the server goes on', async () => {
  const fails = (): never => {
    throw new Error('a secret detail')
  }
  const { http } = await startServer({ endpoints: { ready: fails, metrics: async () => fails() } })
  for (const path of ['/readyz', '/metrics']) {
    const response = await fetch(`${http}${path}`)
    expect([response.status, await response.json()]).toEqual([500, { error: 'The request failed' }])
  }
  expect((await fetch(`${http}/healthz`)).status).toBe(200)
})

test.each(['/', '/nothing', '/app/shop-key', '/apps/shop', '/apps/shop/nothing', '//healthz', '/healthz/', '/%'])(
  'GET %s is a 404 in JSON',
  async path => {
    const { http } = await startServer()
    const response = await fetch(`${http}${path}`)
    expect([response.status, await response.json()]).toEqual([404, { error: expect.any(String) }])
  },
)

test('a path of the HTTP API with another method is a 405 that says which', async () => {
  const { http } = await startServer()
  const response = await fetch(`${http}/apps/shop/events`)
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
})

test('further routes are asked last', async () => {
  const { http } = await startServer({
    endpoints: {
      extra: (_request, response, target) => {
        if (target.pathname !== '/extra' && target.pathname !== '/healthz') return false
        response.end('extra')
        return true
      },
    },
  })
  expect(await (await fetch(`${http}/extra`)).text()).toBe('extra')
  expect(await (await fetch(`${http}/healthz`)).json()).toEqual({ status: 'ok' })
  expect((await fetch(`${http}/other`)).status).toBe(404)
})

function askForAuth(http: string, form: Record<string, string>, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${http}/pusher/auth`, { method: 'POST', body: new URLSearchParams(form), headers })
}

test('the auth endpoint of dev signs channels that need it, and nothing else', async () => {
  const { port, http } = await startServer({ mode: 'dev' })
  const client = await connectedClient(port)
  const socket_id = await client.socketId()
  const response = await askForAuth(http, { socket_id, channel_name: 'private-a' })
  expect(await response.json()).toEqual({ auth: `${app.key}:${sign(app.secret, `${socket_id}:private-a`)}` })
  for (const form of [
    { socket_id: 'somebody', channel_name: 'private-a' },
    { socket_id, channel_name: 'public' },
    { socket_id, channel_name: '#server-to-user-1' },
    { socket_id, channel_name: 'private-encrypted-a' },
    { socket_id, channel_name: 'private-a:b' },
    {},
  ]) {
    expect((await askForAuth(http, form)).status).toBe(403)
  }
  expect((await fetch(`${http}/pusher/auth`)).status).toBe(405)
  expect((await askForAuth(http, { socket_id, channel_name: 'x'.repeat(20_000) })).status).toBe(413)
})

test('the auth endpoint of dev answers pages of allowed origins and refuses others and forwarded requests', async () => {
  const { port, http } = await startServer({ mode: 'dev', origins: ['http://localhost:5173'] })
  const form = { socket_id: await (await connectedClient(port)).socketId(), channel_name: 'private-a' }
  const allowed = await askForAuth(http, form, { origin: 'http://localhost:5173' })
  expect([allowed.status, allowed.headers.get('access-control-allow-origin'), allowed.headers.get('vary')]).toEqual([
    200,
    'http://localhost:5173',
    'Origin',
  ])
  const refused = await askForAuth(http, form, { origin: 'https://evil.test' })
  expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([403, null])
  expect((await askForAuth(http, form, { 'x-forwarded-for': '127.0.0.1' })).status).toBe(403)
  const preflight = await fetch(`${http}/broadcasting/auth`, {
    method: 'OPTIONS',
    headers: { origin: 'http://localhost:5173', 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-csrf-token' },
  })
  expect([preflight.status, preflight.headers.get('access-control-allow-headers')]).toEqual([204, 'x-csrf-token'])
})

test('outside dev nobody signs', async () => {
  const { port, http } = await startServer()
  const form = { socket_id: await (await connectedClient(port)).socketId(), channel_name: 'private-a' }
  expect((await askForAuth(http, form)).status).toBe(404)
})

test('a header section that is too large is refused and the server goes on', async () => {
  const { http, port } = await startServer()
  const status = await new Promise(resolve => {
    const request = httpRequest({ port, host: '127.0.0.1', path: '/healthz', headers: { 'x-large': 'x'.repeat(20_000) } }, response => {
      response.resume()
      resolve(response.statusCode)
    })
    request.on('error', resolve)
    request.end()
  })
  expect(status).toBe(431)
  expect((await fetch(`${http}/healthz`)).status).toBe(200)
})

test('a port in use is a plain message with a hint', async () => {
  const { port } = await startServer()
  await expect(makeServer({}, port).listen()).rejects.toMatchObject({
    name: 'ListenError',
    code: 'port-in-use',
    message: `127.0.0.1:${port} is in use by another process`,
    hint: expect.stringContaining('server.port'),
  })
})

test('an admin port in use gives back the public port', async () => {
  const taken = await startServer()
  const free = makeServer()
  const { port } = await free.listen()
  await free.close({ graceMs: 100 })
  await expect(makeServer({ admin: { host: '127.0.0.1', port: taken.port } }, port).listen()).rejects.toMatchObject({
    code: 'port-in-use',
    hint: expect.stringContaining('server.admin'),
  })
  const again = makeServer({}, port)
  await again.listen()
  await again.close({ graceMs: 100 })
})
