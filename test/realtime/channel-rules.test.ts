import { expect, test } from 'vitest'
import type { AuthorizeRequest } from '../../src/realtime/authorize.ts'
import { channelAuth } from '../../src/realtime/signature.ts'
import { app, asks, connectedClient, deferred, fieldsOf, hotConfig, nextOf, pusherClient, silentLog, startServer } from './harness.ts'

function refusalOf(message: Awaited<ReturnType<Awaited<ReturnType<typeof connectedClient>>['event']>>) {
  return fieldsOf(message)['status']
}

test('access: signed closes public names to whoever has no signature', async () => {
  const { port } = await startServer({ channels: { 'internal.*': { access: 'signed' }, 'internal.open': { access: 'public' } } })
  const client = await connectedClient(port)
  client.send({ event: 'pusher:subscribe', data: { channel: 'internal.a', auth: '' } })
  expect(refusalOf(await client.event('pusher:subscription_error', 'internal.a'))).toBe(401)
  await client.join('internal.a')
  await client.subscribe('internal.open')
})

test('access: public opens no private channel', async () => {
  const { port } = await startServer({ channels: { '*': { access: 'public' } } })
  const client = await connectedClient(port)
  await client.subscribe('open')
  client.send({ event: 'pusher:subscribe', data: { channel: 'private-a' } })
  expect(refusalOf(await client.event('pusher:subscription_error', 'private-a'))).toBe(401)
})

test('the rule with the longest start counts, in whatever order they stand', async () => {
  const { port } = await startServer({ channels: { '*': { access: 'signed' }, 'a*': { access: 'public' }, 'ab*': { access: 'signed' } } })
  const client = await connectedClient(port)
  await client.subscribe('a.x')
  for (const channel of ['b', 'ab.x']) {
    client.send({ event: 'pusher:subscribe', data: { channel } })
    await client.event('pusher:subscription_error', channel)
  }
})

test('a channel takes so many subscribers and no more', async () => {
  const { port } = await startServer({ channels: { small: { limits: { subscribers: 1 } } } })
  const [first, second] = await Promise.all([connectedClient(port), connectedClient(port)])
  await first.subscribe('small')
  second.send({ event: 'pusher:subscribe', data: { channel: 'small' } })
  expect(refusalOf(await second.event('pusher:subscription_error', 'small'))).toBe(429)
  first.send({ event: 'pusher:unsubscribe', data: { channel: 'small' } })
  await first.settled()
  await second.subscribe('small')
})

test("a rule's size of data stands instead of the server's", async () => {
  const { server, port } = await startServer({
    limits: { broadcast: 10 },
    channels: { large: { limits: { data: 100 } }, small: { limits: { data: 5 } } },
  })
  const client = await connectedClient(port)
  for (const channel of ['large', 'small', 'other']) await client.subscribe(channel)
  server.hub.broadcast(app.id, 'large', 'e', 'x'.repeat(98))
  for (const [channel, length] of [
    ['large', 99],
    ['small', 4],
    ['other', 9],
  ] as const) {
    expect(() => server.hub.broadcast(app.id, channel, 'e', 'x'.repeat(length))).toThrow(
      expect.objectContaining({ code: 'data-too-large' }),
    )
  }
})

test('a module sees who asks: token, cookies, parameters, headers, user', async () => {
  const asked: AuthorizeRequest[] = []
  const { port } = await startServer({
    channels: { 'private-*': asks('join.ts') },
    findModule: () => request => asked.push(request) > 0,
  })
  const client = await connectedClient(port, {
    path: '/app/shop-key?protocol=7&token=from-query&__proto__=x&plan=a%20b',
    headers: { cookie: 'session=s%20p; bad=%; =none; theme="dark"', 'user-agent': 'tester', 'x-secret': 'not handed on' },
  })
  await client.signIn({ id: 'ada', level: 3 })
  await client.subscribe('private-a')
  const [request] = asked
  expect(request).toMatchObject({
    app: 'shop',
    channel: 'private-a',
    socketId: await client.socketId(),
    token: 'from-query',
    headers: { 'user-agent': 'tester' },
    user: { id: 'ada', data: { id: 'ada', level: 3 } },
  })
  expect({ ...request?.cookie }).toEqual({ session: 's p', bad: '%', theme: 'dark' })
  expect(Object.entries(request?.query ?? {})).toEqual([
    ['protocol', '7'],
    ['token', 'from-query'],
    ['__proto__', 'x'],
    ['plan', 'a b'],
  ])
  expect(Object.keys(request?.headers ?? {})).toEqual(['user-agent'])
  const bearer = await connectedClient(port, { path: '/app/shop-key?protocol=7&token=q', headers: { authorization: 'bearer abc.def' } })
  await bearer.subscribe('private-b')
  expect(asked.at(-1)?.token).toBe('abc.def')
})

test.each<[string, () => unknown, string | undefined, string?]>([
  ['false', () => false, undefined],
  ['nothing', () => undefined, 'undefined'],
  ['null', () => null, 'null'],
  ['a text', () => 'yes', 'a string'],
  ['an error', () => ({ error: 'banned for life', user_id: 7 }), 'an object with error, user_id'],
  ['nobody in particular', () => ({}), 'an object without keys'],
  ['a user it did not find', () => ({ user_id: undefined }), 'an object without keys'],
  ['an empty id', () => ({ user_id: '' }), 'a `user_id` that is not 1 to 128 characters'],
  ['a response', () => Response.json({ secret: true }), 'an object of the class Response'],
  ['a list', () => ['ada'], 'a list'],
  ['a secret that is no text', () => ({ shared_secret: 7 }), 'a `shared_secret` that is no text'],
  ['true for a stranger', () => true, 'true: A presence channel needs a `user_id` of 1 to 128 characters', 'presence-a'],
  ['true for a stranger who signs in', () => true, 'true: a sign-in needs a `user_id`'],
])(
  '%s in answer to the endpoint grants nothing, and the log says what it was, not what it holds',
  async (_what, answer, found, channel = 'private-a') => {
    const lines: object[] = []
    const { port, http } = await startServer({
      channels: { 'p*': asks('join.ts'), '#server-to-user-*': asks('join.ts') },
      findModule: () => answer,
      log: { ...silentLog, warn: details => lines.push(details) },
    })
    const socket_id = await (await connectedClient(port)).socketId()
    const isSignIn = found?.includes('sign-in') === true
    const form = new URLSearchParams({ socket_id, ...(isSignIn ? {} : { channel_name: channel }) })
    const response = await fetch(`${http}/pusher/${isSignIn ? 'user-auth' : 'auth'}`, { method: 'POST', body: form })
    expect([response.status, await response.json()]).toEqual([403, { error: expect.any(String) }])
    expect(lines).toEqual(found === undefined ? [] : [{ module: 'join.ts', channel: isSignIn ? undefined : channel, answer: found }])
  },
)

test.each([
  ['false', () => false, 401],
  ['nothing', () => undefined, 401],
  ['a text', () => 'yes', 401],
  ['1', () => 1, 401],
  ['an error in an object', () => ({ error: 'banned' }), 401],
  [
    'an error',
    () => {
      throw new Error('secret detail')
    },
    503,
  ],
  ['a rejection', () => Promise.reject(new Error('secret detail')), 503],
  ['never', () => new Promise(() => {}), 503],
])('a module that answers %s lets nobody in', async (_what, answer, status) => {
  const { server, port } = await startServer({
    channels: { 'private-*': asks('join.ts') },
    findModule: () => answer,
    timings: { authorizeMs: 50 },
  })
  const client = await connectedClient(port)
  client.send({ event: 'pusher:subscribe', data: { channel: 'private-a' } })
  const refusal = await client.event('pusher:subscription_error', 'private-a')
  expect(fieldsOf(refusal)).toMatchObject({ type: 'AuthError', status })
  expect(String(refusal.data)).not.toContain('secret')
  expect(server.stats().subscriptions).toBe(0)
})

test('a module that takes too long is told so by its signal', async () => {
  const aborted = deferred<void>()
  const { port } = await startServer({
    channels: { 'private-*': asks('join.ts') },
    findModule:
      () =>
      ({ signal }) =>
        new Promise(() => signal.addEventListener('abort', () => aborted.resolve())),
    timings: { authorizeMs: 20 },
  })
  const client = await connectedClient(port)
  client.send({ event: 'pusher:subscribe', data: { channel: 'private-a' } })
  await aborted.promise
})

test.each(['unsubscribes', 'goes away'])('who %s while the module thinks is not subscribed', async what => {
  const asked = deferred<AuthorizeRequest>()
  const answer = deferred<boolean>()
  const { server, port } = await startServer({
    channels: { 'private-*': asks('join.ts') },
    findModule: () => request => {
      asked.resolve(request)
      return answer.promise
    },
  })
  const client = await connectedClient(port)
  client.send({ event: 'pusher:subscribe', data: { channel: 'private-a' } })
  const { signal } = await asked.promise
  const ended = new Promise(resolve => signal.addEventListener('abort', resolve))
  if (what === 'unsubscribes') client.send({ event: 'pusher:unsubscribe', data: { channel: 'private-a' } })
  else client.webSocket.terminate()
  await ended
  answer.resolve(true)
  const other = await connectedClient(port)
  await other.settled()
  expect(server.stats().subscriptions).toBe(0)
})

test('asking twice for one channel asks the module once', async () => {
  let count = 0
  const answer = deferred<boolean>()
  const { port } = await startServer({
    channels: { 'private-*': asks('join.ts') },
    findModule: () => () => {
      count += 1
      return answer.promise
    },
  })
  const client = await connectedClient(port)
  for (let index = 0; index < 5; index += 1) client.send({ event: 'pusher:subscribe', data: { channel: 'private-a' } })
  await client.settled()
  answer.resolve(true)
  await client.event('pusher_internal:subscription_succeeded')
  expect(count).toBe(1)
})

test('open questions count as channels', async () => {
  const { port } = await startServer({
    limits: { channels: 2 },
    channels: { 'private-*': asks('join.ts') },
    findModule: () => () => new Promise(() => {}),
  })
  const client = await connectedClient(port)
  for (const channel of ['private-a', 'private-b', 'private-c']) client.send({ event: 'pusher:subscribe', data: { channel } })
  expect(refusalOf(await client.event('pusher:subscription_error'))).toBe(429)
})

test('a signature lets in without the module, and a wrong one is refused without asking it', async () => {
  const { port } = await startServer({
    channels: { 'private-*': asks('join.ts') },
    findModule: () => () => {
      throw new Error('asked')
    },
  })
  const client = await connectedClient(port)
  await client.join('private-a')
  client.send({ event: 'pusher:subscribe', data: { channel: 'private-b', auth: channelAuth(app, '1.1', 'private-b') } })
  expect(refusalOf(await client.event('pusher:subscription_error', 'private-b'))).toBe(401)
})

test('a module says who joins a presence channel; true alone is enough for whoever signed in', async () => {
  const { port } = await startServer({
    channels: { 'presence-named': asks('named.ts'), 'presence-plain': asks('plain.ts') },
    findModule: ({ module }) => (module === 'named.ts' ? () => ({ user_id: 7, user_info: { name: 'Ada' } }) : () => true),
  })
  const client = await connectedClient(port)
  expect(fieldsOf(await client.subscribe('presence-named'))).toEqual({ presence: { ids: ['7'], hash: { 7: { name: 'Ada' } }, count: 1 } })
  client.send({ event: 'pusher:subscribe', data: { channel: 'presence-plain' } })
  expect(refusalOf(await client.event('pusher:subscription_error', 'presence-plain'))).toBe(401)
  await client.signIn({ id: 'ada' })
  expect(fieldsOf(await client.subscribe('presence-plain'))).toMatchObject({ presence: { ids: ['ada'] } })
})

test('a reload changes rules for what comes, and leaves what is subscribed', async () => {
  const { server, port } = await startServer()
  const early = await connectedClient(port)
  await early.subscribe('news')
  server.updateConfig(hotConfig({ channels: { news: { access: 'signed' } } }))
  server.hub.broadcast(app.id, 'news', 'still', 1)
  await early.event('still')
  const late = await connectedClient(port)
  late.send({ event: 'pusher:subscribe', data: { channel: 'news' } })
  expect(refusalOf(await late.event('pusher:subscription_error', 'news'))).toBe(401)
})

test.each(['/pusher/auth', '/broadcasting/auth'])('pusher-js gets its signature at %s from the module', async path => {
  const { port, http } = await startServer({
    channels: { 'private-user.*': asks('join.ts'), 'presence-*': asks('join.ts') },
    findModule:
      () =>
      ({ channel, token }) =>
        token === 't1' && (channel === 'private-user.1' || { user_id: 'ada' }),
  })
  const options = (token: string) => ({
    channelAuthorization: { endpoint: `${http}${path}`, transport: 'ajax' as const, headers: { authorization: `Bearer ${token}` } },
  })
  const client = pusherClient(port, options('t1'))
  for (const channel of ['private-user.1', 'presence-room']) {
    await nextOf(client.subscribe(channel), 'pusher:subscription_succeeded')
  }
  const stranger = pusherClient(port, options('t2'))
  expect(await nextOf(stranger.subscribe('private-user.1'), 'pusher:subscription_error')).toMatchObject({ status: 403 })
})

test('the endpoint refuses what no rule decides, other origins, and answers preflights', async () => {
  const { port, http } = await startServer({
    origins: ['https://shop.example'],
    channels: { 'private-user.*': asks('join.ts') },
    findModule: () => () => true,
  })
  const socket_id = await (await connectedClient(port)).socketId()
  const ask = (channel_name: string, headers: Record<string, string> = {}) =>
    fetch(`${http}/pusher/auth`, { method: 'POST', headers, body: new URLSearchParams({ socket_id, channel_name }) })
  expect((await ask('private-user.1')).status).toBe(200)
  expect((await ask('private-other')).status).toBe(403)
  expect((await ask('private-user.1', { origin: 'https://evil.example' })).status).toBe(403)
  const allowed = await ask('private-user.1', { origin: 'https://shop.example' })
  expect(allowed.headers.get('access-control-allow-origin')).toBe('https://shop.example')
  expect(allowed.headers.get('access-control-allow-credentials')).toBe('true')
  const preflight = await fetch(`${http}/pusher/auth`, {
    method: 'OPTIONS',
    headers: { origin: 'https://shop.example', 'access-control-request-headers': 'x-csrf-token' },
  })
  expect([preflight.status, preflight.headers.get('access-control-allow-headers')]).toEqual([204, 'x-csrf-token'])
})

test('in run there is no such endpoint where no rule has a module', async () => {
  const { http } = await startServer({ channels: { '*': { access: 'signed' } } })
  for (const path of ['/pusher/auth', '/broadcasting/auth', '/pusher/user-auth']) {
    expect((await fetch(`${http}${path}`, { method: 'POST' })).status).toBe(404)
  }
})

test('the endpoint takes JSON, and with several apps it signs for the app of the socket', async () => {
  const { port, http } = await startServer({
    apps: [app, { id: 'blog', key: 'blog-key', secret: 'blog-secret' }],
    channels: { 'private-*': asks('join.ts') },
    findModule: () => () => true,
  })
  const client = await connectedClient(port, { path: '/app/blog-key?protocol=7' })
  const ask = (socket_id: string, query = '') =>
    fetch(`${http}/pusher/auth${query}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ socket_id, channel_name: 'private-a' }),
    })
  const { auth } = (await (await ask(await client.socketId())).json()) as { auth: string }
  await client.subscribe('private-a', auth)
  expect(auth.startsWith('blog-key:')).toBe(true)
  expect(await (await ask(await client.socketId(), '?key=blog-key')).json()).toEqual({ auth })
  const refused = async (socketId: string, query?: string) => (await ask(socketId, query)).status
  expect(await refused(await client.socketId(), '?key=shop-key')).toBe(403)
  expect(await refused(await client.socketId(), '?key=other-key')).toBe(404)
  expect(await refused('1.1')).toBe(400)
  expect(await refused('1', '?key=shop-key')).toBe(403)
})
