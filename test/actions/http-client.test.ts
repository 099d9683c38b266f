import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { describe, expect, onTestFinished, test } from 'vitest'
import { isAllowedAddress } from '../../src/actions/address-rules.ts'
import { createHttpClient } from '../../src/actions/http-client.ts'
import { retryAfterMs } from '../../src/actions/http-failure.ts'
import type { HttpRequest } from '../../src/actions/ports.ts'
import type { HttpConfig } from '../../src/config/router-config.ts'

const local: HttpConfig = { hosts: undefined, networks: ['127.0.0.1'], responseBytes: 1_000 }

interface Seen {
  readonly method: string | undefined
  readonly path: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** A server on every loopback address, and a client that may reach 127.0.0.1 unless told otherwise. */
async function setup(answer: (request: IncomingMessage, response: ServerResponse, port: number) => void, rules: Partial<HttpConfig> = {}) {
  const seen: Seen[] = []
  let port = 0
  const server = createServer((request, response) => {
    void buffer(request).then(body => {
      seen.push({ method: request.method, path: request.url, headers: request.headers, body: body.toString() })
      answer(request, response, port)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '0.0.0.0', resolve))
  const address = server.address()
  port = typeof address === 'object' && address !== null ? address.port : 0
  const client = createHttpClient(() => ({ ...local, ...rules }))
  onTestFinished(async () => {
    await client.close()
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  })
  const send = (request: Partial<HttpRequest> = {}, host = '127.0.0.1', signal = new AbortController().signal) =>
    client.send(
      { method: 'POST', url: `http://${host}:${port}/orders`, headers: {}, body: Buffer.from('{}'), keepsAnswer: true, ...request },
      signal,
    )
  return { send, seen, port }
}

const failure = (fields: object) => expect.objectContaining({ name: 'HttpFailure', ...fields })

describe('the HTTP client', () => {
  test('sends method, headers and body, and gives status, headers and body back', async () => {
    const { send, seen } = await setup((_, response) => {
      response.writeHead(201, { 'content-type': 'application/json', 'set-cookie': ['a=1', 'b=2'] }).end('{"url":"https://x"}')
    })
    const answer = await send({ headers: { 'x-a': 'b' }, body: Buffer.from('{"a":1}') })
    expect(answer).toMatchObject({ status: 201, body: { url: 'https://x' }, headers: { 'set-cookie': 'a=1, b=2' } })
    expect(seen).toMatchObject([{ method: 'POST', path: '/orders', headers: { 'x-a': 'b', 'content-length': '7' }, body: '{"a":1}' }])
  })

  test.each([
    ['text/plain', 'plain', 'plain'],
    ['application/problem+json', '{"a":1}', { a: 1 }],
    ['application/json', '{broken', '{broken'],
    ['application/octet-stream', 'x', Buffer.from('x')],
    ['application/json', '', null],
  ])('an answer of type %s is read as what it is', async (type, text, body) => {
    const { send } = await setup((_, response) => response.writeHead(200, { 'content-type': type }).end(text))
    expect(await send()).toMatchObject({ body })
  })

  test('an answer nobody keeps is null, however large; one that is kept has a limit', async () => {
    const { send } = await setup((_, response) => response.end('x'.repeat(5_000)))
    expect(await send({ keepsAnswer: false })).toBeNull()
    await expect(send()).rejects.toEqual(failure({ permanent: true, message: expect.stringContaining('larger than 1000 bytes') }))
  })

  test.each([
    [400, true],
    [401, true],
    [404, true],
    [422, true],
    [304, true],
    [408, false],
    [425, false],
    [429, false],
    [500, false],
    [503, false],
  ])('status %i: permanent is %s', async (status, permanent) => {
    const { send } = await setup((_, response) => response.writeHead(status).end(status === 304 ? '' : 'because\nof this'))
    const said = status === 304 ? '' : ': because of this'
    await expect(send()).rejects.toEqual(failure({ status, permanent, message: expect.stringMatching(`answered ${status}${said}$`) }))
  })

  test('says how long the other side asks to wait', async () => {
    const { send } = await setup((_, response) => response.writeHead(429, { 'retry-after': '7' }).end())
    await expect(send()).rejects.toEqual(failure({ retryAfterMs: 7_000 }))
    const now = Date.parse('2026-01-01T00:00:00Z')
    expect(retryAfterMs('Thu, 01 Jan 2026 00:01:00 GMT', now)).toBe(60_000)
    expect(retryAfterMs('Wed, 31 Dec 2025 00:01:00 GMT', now)).toBe(0)
    for (const wrong of ['soon', '-1', '1.5', '', undefined]) expect(retryAfterMs(wrong, now)).toBeUndefined()
  })

  test('an attempt that ends takes its call with it', async () => {
    let arrived = () => {}
    const asked = new Promise<void>(resolve => {
      arrived = resolve
    })
    const { send } = await setup(() => arrived())
    const attempt = new AbortController()
    const call = send({}, '127.0.0.1', attempt.signal)
    await asked
    attempt.abort(new Error('no result within 10 ms'))
    await expect(call).rejects.toThrow('no result within 10 ms')
  })

  test('a server that is not there is tried again', async () => {
    const { send } = await setup(() => {})
    await expect(send({ url: 'http://127.0.0.1:1/' })).rejects.toEqual(
      failure({ permanent: false, message: expect.stringContaining('ECONNREFUSED') }),
    )
  })
})

describe('what may be called', () => {
  test.each(['127.0.0.2', 'localhost', '0.0.0.0'])('%s is refused while only 127.0.0.1 is allowed or nothing is', async host => {
    const { send, seen } = await setup((_, response) => response.end(), host === 'localhost' ? { networks: [] } : {})
    await expect(send({}, host)).rejects.toEqual(failure({ permanent: true, message: expect.stringContaining('private address') }))
    expect(seen).toEqual([])
  })

  test('a name is allowed where what DNS says is', async () => {
    const { send, seen } = await setup((_, response) => response.end())
    await send({}, 'localhost')
    expect(seen).toHaveLength(1)
  })

  test('a host that is not listed is refused', async () => {
    const { send, seen } = await setup((_, response) => response.end(), { hosts: ['localhost', '*.example.com'] })
    await expect(send()).rejects.toEqual(failure({ permanent: true, message: expect.stringContaining('`http.hosts`') }))
    await send({}, 'localhost')
    expect(seen).toHaveLength(1)
  })

  test('a redirect leads to no address that could not be called by itself', async () => {
    for (const host of ['127.0.0.2', '[::1]', '2130706434']) {
      const { send, seen } = await setup((_, response, port) => response.writeHead(307, { location: `http://${host}:${port}/` }).end())
      await expect(send()).rejects.toEqual(failure({ permanent: true, message: expect.stringContaining('private address') }))
      expect(seen).toHaveLength(1)
    }
  })

  test('a redirect to another host takes the idempotency key along but no token and no signature, and one that would change the call is not followed', async () => {
    const answer = (status: number) => (request: IncomingMessage, response: ServerResponse, port: number) => {
      if (request.url !== '/orders') response.end('there')
      else response.writeHead(status, { location: `http://localhost:${port}/elsewhere` }).end()
    }
    const headers = {
      authorization: 'Bearer token',
      'x-api-key': 'key',
      'webhook-signature': 'v1,signature',
      'content-type': 'application/json',
      'idempotency-key': 'orders-0-7',
    }
    const moved = await setup(answer(308))
    await moved.send({ headers })
    expect(moved.seen[1]?.headers).toMatchObject({ 'content-type': 'application/json', 'idempotency-key': 'orders-0-7' })
    expect(moved.seen[1]?.headers).not.toHaveProperty('webhook-signature')
    expect(moved.seen[1]).toMatchObject({ path: '/elsewhere', method: 'POST', body: '{}' })
    expect(moved.seen[1]?.headers).not.toHaveProperty('authorization')
    expect(moved.seen[1]?.headers).not.toHaveProperty('x-api-key')
    const found = await setup(answer(302))
    await expect(found.send()).rejects.toEqual(failure({ status: 302, permanent: true }))
    await found.send({ method: 'GET', body: undefined })
    expect(found.seen.map(({ path }) => path)).toEqual(['/orders', '/orders', '/elsewhere'])
  })

  test('redirects that do not end, end', async () => {
    const { send, seen } = await setup((_, response) => response.writeHead(307, { location: '/again' }).end())
    await expect(send()).rejects.toEqual(failure({ permanent: true, message: expect.stringContaining('more than 5 redirects') }))
    expect(seen).toHaveLength(6)
  })

  test.each([
    ['8.8.8.8', true],
    ['2606:4700::1111', true],
    ['10.1.2.3', false],
    ['172.16.0.1', false],
    ['192.168.1.1', false],
    ['127.0.0.1', false],
    ['169.254.169.254', false],
    ['100.64.0.1', false],
    ['0.0.0.0', false],
    ['224.0.0.1', false],
    ['255.255.255.255', false],
    ['::', false],
    ['::1', false],
    ['fe80::1', false],
    ['fd00::1', false],
    ['::ffff:127.0.0.1', false],
    ['64:ff9b::7f00:1', false],
    ['2002:7f00:1::', false],
  ])('%s is of the public internet: %s', (address, expected) => {
    expect(isAllowedAddress(address, { ...local, networks: [] })).toBe(expected)
  })

  test('a network allows its addresses, also inside IPv6', () => {
    const rules = { ...local, networks: ['10.0.0.0/8', 'fd00::/8'] }
    expect(['10.1.2.3', '::ffff:10.1.2.3', 'fd00::1', '192.168.0.1'].map(address => isAllowedAddress(address, rules))).toEqual([
      true,
      true,
      true,
      false,
    ])
  })
})
