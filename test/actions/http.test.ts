import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { signatureHeaders } from '../../src/actions/http-signature.ts'
import { actionProblems, running } from './running.ts'

const url = 'https://api.example/orders'

describe('http', () => {
  test('in short form posts the event, with an idempotency key that is the same for every attempt', async () => {
    const { run, recorded, summaries } = running([{ http: url }])
    await run({ data: { total: 5 } })
    await run({ data: { total: 5 } }, { number: 2 })
    await run({ data: { total: 5 }, id: 'evt-2' })
    const [first, second, other] = recorded.requests
    expect(first).toMatchObject({ method: 'POST', url, keepsAnswer: false })
    expect(JSON.parse(String(first?.body))).toEqual({ id: 'evt-1', event: 'order.created', data: { total: 5 } })
    expect(first?.headers).toMatchObject({ 'content-type': 'application/json', 'user-agent': 'signalbox' })
    expect(first?.headers['idempotency-key']).toMatch(/^[0-9a-f]{32}$/)
    expect(second).toEqual(first)
    expect(other?.headers['idempotency-key']).not.toBe(first?.headers['idempotency-key'])
    expect(summaries).toEqual([`http POST ${url}`])
  })

  test('takes address, headers and body from templates', async () => {
    const http = {
      url: `${url}/{{data.id}}?by={{data.name}}`,
      method: 'PUT',
      headers: { Authorization: 'Bearer {{data.token}}', 'Idempotency-Key': 'mine-{{id}}' },
      body: { total: '{{data.total}}' },
    }
    const { run, recorded } = running([{ http, as: 'answer' }])
    await run({ data: { id: 7, name: 'a&b=c/d é', token: 't-1', total: 5 } })
    const [request] = recorded.requests
    expect(request).toMatchObject({ method: 'PUT', url: `${url}/7?by=a%26b%3Dc%2Fd%20%C3%A9`, keepsAnswer: true })
    expect(request?.headers).toMatchObject({ authorization: 'Bearer t-1', 'idempotency-key': 'mine-evt-1' })
    expect(String(request?.body)).toBe('{"total":5}')
  })

  test('GET, HEAD and DELETE have no body of their own, and what only reads has no idempotency key', async () => {
    const methods = ['GET', 'HEAD', 'DELETE']
    const { run, recorded } = running(methods.map(method => ({ http: { url, method } })))
    for (const position of methods.keys()) await run({}, {}, position)
    expect(recorded.requests.map(({ body, headers }) => [body, 'idempotency-key' in headers])).toEqual([
      [undefined, false],
      [undefined, false],
      [undefined, true],
    ])
  })

  test.each([
    ['plain', 'text/plain; charset=utf-8', 'plain'],
    [Buffer.from([1, 2]), 'application/octet-stream', '\u0001\u0002'],
    [undefined, 'application/json', '{}'],
  ])('a body that is %j goes as %s', async (data, contentType, body) => {
    const { run, recorded } = running([{ http: { url, body: data === undefined ? { a: '{{data}}' } : '{{data}}' } }])
    await run({ data })
    expect(recorded.requests[0]?.headers['content-type']).toBe(contentType)
    expect(String(recorded.requests[0]?.body)).toBe(body)
  })

  test.each(['..', '.', ''])('a value that is %j cannot change the path', value => {
    const { run } = running([{ http: `${url}/{{data.id}}/refund` }])
    expect(() => run({ data: { id: value } })).toThrow(expect.objectContaining({ permanent: true }))
  })

  test('half a character is refused, not sent as something else', () => {
    const { run } = running([{ http: `${url}/{{data.id}}` }])
    expect(() => run({ data: { id: '\ud800' } })).toThrow('data.id is not well-formed text')
  })

  test('a header takes no line break from a message', () => {
    const { run } = running([{ http: { url, headers: { 'x-name': '{{data.name}}' } } }])
    expect(() => run({ data: { name: 'a\r\nx-admin: 1' } })).toThrow('data.name has U+000D which an HTTP header does not allow')
  })

  test('signs as Standard Webhooks says, with plain and with base64 secrets', async () => {
    const { run, recorded } = running([{ http: { url, body: { a: 1 }, sign: 'a secret' } }])
    await run()
    const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature } = recorded.requests[0]?.headers ?? {}
    expect(signature).toBe(`v1,${createHmac('sha256', 'a secret').update(`${id}.${timestamp}.{"a":1}`).digest('base64')}`)
    // The example of the specification.
    const known = signatureHeaders(
      'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
      'msg_p5jXN8AQM9LWM0D4loKWxJek',
      Buffer.from('{"test": 2432232314}'),
      1_614_265_330_000,
    )
    expect(known['webhook-signature']).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
  })

  test('shows what it would send, never the secret', () => {
    const { render } = running([{ http: { url, sign: 'a secret', headers: { 'x-a': 'b' }, body: { id: '{{data.id}}' } } }])
    expect(render({ data: { id: 7 } })).toEqual([
      { action: 'http', method: 'POST', url, headers: { 'x-a': 'b' }, body: { id: 7 }, signed: true },
    ])
  })

  test.each([
    ['{{data.url}}', 'is not an address that can be called'],
    ['https://{{data.host}}/orders', 'is not an address that can be called'],
    ['https://api.example{{data.rest}}', 'is not an address that can be called'],
    ['https://user:password@api.example/', 'is not an address that can be called'],
    ['ftp://api.example/', 'is not an address that can be called'],
    ['orders', 'is not an address that can be called'],
    ['http://127.0.0.1/orders', '127.0.0.1 is a private address'],
    ['http://2130706433/orders', '127.0.0.1 is a private address'],
    ['http://[::1]/orders', '::1 is a private address'],
    ['http://[::ffff:10.0.0.1]/', 'is a private address'],
    ['http://169.254.169.254/latest/meta-data', '169.254.169.254 is a private address'],
  ])('%s is refused when it is compiled', (address, message) => {
    expect(actionProblems([{ http: address }])).toMatchObject([{ code: 'http-address', message: expect.stringContaining(message) }])
  })

  test.each([
    [{ url, headers: { host: 'other' } }, '`host` is not a header that can be set'],
    [{ url, headers: { 'a b': 'c' } }, '`a b` is not a header that can be set'],
    [{ url, method: 'GET', body: {} }, 'A GET has no body'],
  ])('%j is refused', (http, message) => {
    expect(actionProblems([{ http }])).toMatchObject([{ code: 'http-address', message }])
  })
})
