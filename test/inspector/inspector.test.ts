import { request } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import type { SourceRecord, SubscriptionPlan } from '../../src/compiler/plan.ts'
import { createInspector, type Inspector, InspectorError } from '../../src/inspector/inspector.ts'
import type { PublishRequest } from '../../src/inspector/publish-request.ts'
import { action, envelope, route, record as sourceRecord, subscription } from '../engine/plan-builders.ts'

const token = 'token-of-dev-json'
const shop = subscription([route('paid', [action(() => undefined, { kind: 'broadcast' })], { events: ['order.paid'] })])
const open: Inspector[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map(inspector => inspector.close()))
})

async function start(
  changes: { publish?: (record: PublishRequest) => Promise<void>; port?: number; plan?: SubscriptionPlan; isGuarded?: boolean } = {},
) {
  const published: PublishRequest[] = []
  const inspector = createInspector({
    host: '127.0.0.1',
    port: changes.port ?? 0,
    token,
    isGuarded: changes.isGuarded,
    current: () => ({ app: 'shop', generation: 1, plan: { subscriptions: [changes.plan ?? shop] } }),
    channels: () => [{ name: 'news', subscribers: 2 }],
    secrets: () => ['hush-hush-secret'],
    publish: changes.publish ?? (async record => void published.push(record)),
    log: { warn: () => {}, error: () => {} },
  })
  open.push(inspector)
  const { port } = await inspector.listen()
  return { inspector, port, published }
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
}

interface Asking {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** Plain node:http: it lets a test set Host and Origin, as another program could. */
function ask(port: number, path: string, { method = 'GET', headers = {}, body }: Asking = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, method, headers }, response => {
      const chunks: Buffer[] = []
      response.on('data', chunk => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text: Buffer.concat(chunks).toString() }),
      )
      response.on('error', reject)
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

const record = { topic: 'orders', event: 'order.created', data: { total: 3 }, key: 'u1' }
const json = { 'content-type': 'application/json' }

function publish(port: number, headers: Readonly<Record<string, string>>, body: unknown = record): Promise<Answer> {
  return ask(port, '/api/publish', { method: 'POST', headers: { ...json, ...headers }, body: JSON.stringify(body) })
}

async function pageToken(port: number): Promise<string> {
  const { text } = await ask(port, '/')
  return /name="signalbox-token" content="([^"]+)"/.exec(text)?.[1] ?? ''
}

describe('the page', () => {
  test('comes with every file that it names', async () => {
    const { port } = await start()
    const page = await ask(port, '/')
    expect(page.status).toBe(200)
    const named = [...page.text.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(match => String(match[1]))
    expect(named).toContain('/page/main.js')
    const seen = new Set(named)
    for (const path of seen) {
      const file = await ask(port, path)
      expect(file.status, path).toBe(200)
      for (const [, imported] of file.text.matchAll(/from\s?["'](?:\.|\/page)\/([\w-]+\.js)["']/g)) seen.add(`/page/${imported}`)
      expect(file.text, path).not.toMatch(/from\s?["'][a-z]/)
    }
    for (const path of ['/page/preact.js', '/page/preact-hooks.js', '/page/htm.js', '/page/flow-chart.js']) expect(seen).toContain(path)
  })

  test('allows no inline script, no frame and no address but its own', async () => {
    const { port } = await start()
    const { headers, text } = await ask(port, '/')
    const policy = String(headers['content-security-policy'])
    expect(policy).toContain("script-src 'self';")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).toContain("connect-src 'self';")
    expect(text).not.toMatch(/%[a-z-]+%/)
    expect(policy).not.toMatch(/unsafe|\*/)
    expect(text).not.toMatch(/<script(?![^>]*\bsrc=)[^>]*>/)
    expect(headers['x-content-type-options']).toBe('nosniff')
  })

  test('never shows the token of the command line', async () => {
    const { port } = await start()
    expect(await pageToken(port)).toMatch(/^[\w-]{32}$/)
    for (const path of ['/', '/api/state']) expect((await ask(port, path)).text).not.toContain(token)
  })

  test('is nothing but the listed files', async () => {
    const { port } = await start()
    for (const path of ['/page/../inspector.ts', '/page/%2e%2e/inspector.ts', '/page/', '/page/none.js', '/constructor']) {
      expect((await ask(port, path)).status, path).toBe(404)
    }
    expect((await ask(port, '/', { method: 'DELETE' })).status).toBe(405)
    expect((await ask(port, '/api/publish')).status).toBe(405)
  })
})

describe('another web site', () => {
  test('cannot reach the page under a name of its own (DNS rebinding)', async () => {
    const { port } = await start()
    for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1.evil.example', 'localhost.evil.example', '0.0.0.0']) {
      expect((await ask(port, '/', { headers: { host } })).status, host).toBe(403)
    }
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, '[::1]:80', 'LOCALHOST']) {
      expect((await ask(port, '/', { headers: { host } })).status, host).toBe(200)
    }
  })

  test('cannot post, whatever token it has', async () => {
    const { port, published } = await start()
    const authorization = `Bearer ${await pageToken(port)}`
    for (const origin of ['https://evil.example', 'null', `http://127.0.0.1:${port + 1}`, `https://127.0.0.1:${port}`]) {
      expect((await publish(port, { authorization, origin })).status, origin).toBe(403)
    }
    expect((await publish(port, { authorization, 'sec-fetch-site': 'cross-site' })).status).toBe(403)
    expect((await publish(port, { authorization, 'sec-fetch-site': 'same-site' })).status).toBe(403)
    expect(published).toEqual([])
  })
})

describe('publishing', () => {
  test('works with the token of the command line and with that of the page', async () => {
    const { port, published } = await start()
    const fromPage = {
      authorization: `Bearer ${await pageToken(port)}`,
      origin: `http://127.0.0.1:${port}`,
      'sec-fetch-site': 'same-origin',
    }
    expect((await publish(port, { authorization: `Bearer ${token}` })).status).toBe(200)
    expect((await publish(port, fromPage, { topic: 't', event: 'e', data: null })).status).toBe(200)
    expect(published).toEqual([record, { topic: 't', event: 'e', data: null }])
  })

  test('takes a record as it is', async () => {
    const { port, published } = await start()
    const raw = `{ "n": "${'x'.repeat(2000)}" }\n`
    expect((await publish(port, { authorization: `Bearer ${token}` }, { topic: 't', raw, key: 'k', headers: { type: 'x' } })).status).toBe(
      200,
    )
    expect(published).toEqual([{ topic: 't', raw, key: 'k', headers: { type: 'x' } }])
  })

  test('is refused without a token, with a wrong one, and with one that is only the start of the right one', async () => {
    const { port, published } = await start()
    for (const authorization of ['', 'Bearer', 'Bearer wrong', `Bearer ${token.slice(0, -1)}`, `Basic ${token}`, token]) {
      expect((await publish(port, { authorization })).status, authorization).toBe(401)
    }
    expect(published).toEqual([])
  })

  test.each([
    ['[]', 'the body must be a JSON object'],
    ['{"topic"', 'the body is not valid JSON'],
    ['{"event":"e"}', '"topic" is missing'],
    ['{"topic":"t","event":""}', '"event" is missing'],
    ['{"topic":7,"event":"e"}', '"topic" must be a text'],
    ['{"topic":"t","event":"e","payload":1}', '"payload" is not known'],
    ['{"topic":"t","raw":"x","event":"e"}', '"event" is not known here; expected topic, raw, key, headers'],
    ['{"topic":"t","raw":{}}', '"raw" must be a text'],
    ['{"raw":"x"}', '"topic" is missing'],
    [`{"topic":"t","event":"e","key":"${'k'.repeat(1001)}"}`, '"key" is longer than 1000 characters'],
    ['{"topic":"t","raw":"x","headers":{"a":1}}', 'the header "a" must be a text'],
    ['{"topic":"t","raw":"x","headers":[]}', '"headers" must be a map'],
  ])('%.40s is refused: %s', async (body, message) => {
    const { port, published } = await start()
    const answer = await ask(port, '/api/publish', { method: 'POST', headers: { ...json, authorization: `Bearer ${token}` }, body })
    expect(answer.status).toBe(400)
    expect(JSON.parse(answer.text).error).toContain(message)
    expect(published).toEqual([])
  })

  test('takes JSON only, so that a plain form of another site cannot post', async () => {
    const { port } = await start()
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp']) {
      expect((await publish(port, { authorization: `Bearer ${token}`, 'content-type': type })).status, type).toBe(415)
    }
  })

  test('refuses a body over 1mb, announced or not', async () => {
    const { port, published } = await start()
    const headers = { authorization: `Bearer ${token}`, ...json }
    const body = JSON.stringify({ ...record, data: 'x'.repeat(1024 * 1024) })
    expect(
      (await ask(port, '/api/publish', { method: 'POST', headers: { ...headers, 'content-length': String(body.length) }, body })).status,
    ).toBe(413)
    expect(
      (await ask(port, '/api/publish', { method: 'POST', headers: { ...headers, 'transfer-encoding': 'chunked' }, body })).status,
    ).toBe(413)
    expect(published).toEqual([])
  })

  test('that fails says why', async () => {
    const { port } = await start({ publish: () => Promise.reject(new Error('the topic "a b" is not a legal name')) })
    const answer = await publish(port, { authorization: `Bearer ${token}` })
    expect([answer.status, JSON.parse(answer.text)]).toEqual([502, { error: 'the topic "a b" is not a legal name' }])
  })
})

/** Reads server-sent events until `enough` of them have come. Channels, told once a second, count once: the first time. */
async function stream(port: number, enough: number, act: () => void): Promise<readonly { event: string; data: unknown }[]> {
  const stop = new AbortController()
  const response = await fetch(`http://127.0.0.1:${port}/api/stream`, { signal: stop.signal })
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/)
  act()
  let text = ''
  const messages = () => {
    const all = [...text.matchAll(/event: (.*)\ndata: (.*)\n\n/g)].map(([, event, data]) => ({
      event: String(event),
      data: JSON.parse(String(data)),
    }))
    const channels = all.findIndex(({ event }) => event === 'channels')
    return all.filter(({ event }, at) => event !== 'channels' || at === channels)
  }
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString()
    if (messages().length >= enough) break
  }
  stop.abort()
  return messages()
}

describe('the stream', () => {
  test('starts with everything there is, then tells of messages and reloads', async () => {
    const { inspector, port } = await start()
    const problem = { code: 'topic-name', severity: 'error', message: 'bad topic', file: 'routes/orders.yaml' } as const
    const messages = await stream(port, 6, () => {
      inspector.reloaded({ kind: 'unchanged' })
      inspector.reloaded({ kind: 'rejected', problems: [problem], sources: new Map([['routes/orders.yaml', 'topics: [a b]\n']]) })
      take(inspector, sourceRecord({ value: envelope('order.paid', { note: 'two\nlines, hush-hush-secret' }) }))
    })
    expect(messages).toMatchObject([
      { event: 'state', data: { app: 'shop', generation: 1, topics: ['orders'], events: ['order.paid'], reload: null } },
      { event: 'messages', data: { messages: [], seen: 0, leftOut: 0 } },
      { event: 'channels', data: [{ name: 'news', subscribers: 2 }] },
      { event: 'reload', data: { kind: 'rejected', problems: expect.stringContaining('bad topic') } },
      { event: 'state', data: { reload: { kind: 'rejected' } } },
      {
        event: 'messages',
        data: { messages: [{ event: 'order.paid', topic: 'orders', preview: '{"note":"two\\nlines, [redacted]"}' }], seen: 1 },
      },
    ])
  })

  test('tells a page that opens later how the latest change ended', async () => {
    const { inspector, port } = await start()
    inspector.reloaded({ kind: 'applied', generation: 2, summary: ['added route orders/paid'], problems: [], sources: new Map() })
    const state = JSON.parse((await ask(port, '/api/state')).text)
    expect(state.reload).toEqual({ kind: 'applied', at: expect.any(Number), summary: ['added route orders/paid'], problems: '' })
  })

  test('is refused from page 21 on', async () => {
    const { port } = await start()
    const stop = new AbortController()
    const opened = await Promise.all(
      Array.from({ length: 20 }, () => fetch(`http://127.0.0.1:${port}/api/stream`, { signal: stop.signal })),
    )
    expect(opened.map(response => response.status)).toEqual(new Array(20).fill(200))
    expect((await ask(port, '/api/stream')).status).toBe(503)
    stop.abort()
  })

  test('ends when the inspector closes', async () => {
    const { inspector, port } = await start()
    const response = await fetch(`http://127.0.0.1:${port}/api/stream`)
    await Promise.all([response.text(), inspector.close()])
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow()
  })
})

describe('with a guard', () => {
  test('everything asks for the token, and a page that was opened with it goes on by a cookie', async () => {
    const { port } = await start({ isGuarded: true })
    for (const path of ['/', '/page/main.js', '/api/state', '/api/stream', '/api/messages/1']) {
      expect((await ask(port, path)).status, path).toBe(401)
      expect((await ask(port, path, { headers: { cookie: 'signalbox-inspector=guessed' } })).status, path).toBe(401)
    }
    expect((await ask(port, '/?token=wrong')).status).toBe(401)
    expect((await ask(port, `/api/state?token=${token}`)).status).toBe(401)
    const opened = await ask(port, `/?token=${token}`)
    expect([opened.status, opened.headers['location']]).toEqual([303, '/'])
    const [given = ''] = [opened.headers['set-cookie']].flat()
    expect(given).toMatch(/^signalbox-inspector=[\w-]{32}; HttpOnly; SameSite=Strict; Path=\/$/)
    expect(given).not.toContain(token)
    const cookie = String(given.split(';')[0])
    expect((await ask(port, '/', { headers: { cookie } })).status).toBe(200)
    expect((await ask(port, '/api/state', { headers: { cookie } })).status).toBe(200)
    expect((await ask(port, '/api/state', { headers: { authorization: `Bearer ${token}` } })).status).toBe(200)
    expect((await publish(port, { cookie })).status).toBe(401)
  })
})

describe('one message', () => {
  test('comes with what it holds and why routes take it or not, secrets hidden', async () => {
    const { inspector, port } = await start()
    take(inspector, sourceRecord({ key: 'k1', value: envelope('order.refunded', { note: 'hush-hush-secret' }, 'e1') }))
    const answer = await ask(port, '/api/messages/1')
    expect(answer.status).toBe(200)
    expect(answer.text).not.toContain('hush-hush-secret')
    expect(JSON.parse(answer.text)).toMatchObject({
      message: { id: 1, topic: 'orders', event: 'order.refunded', state: 'left-out' },
      record: { key: 'k1', isWhole: true },
      event: { id: 'e1', event: 'order.refunded', data: { note: '[redacted]' } },
      explanation: {
        generation: 1,
        routes: [{ route: 'shop/paid', matched: false, why: 'the event is `order.refunded`, not `order.paid`' }],
      },
    })
  })

  test('is not found where it is not kept', async () => {
    const { port } = await start()
    for (const id of ['1', '0', '-1', 'x', '', '1e3', '99999999999999999'])
      expect((await ask(port, `/api/messages/${id}`)).status, id).toBe(404)
  })
})

/** A message that no route takes. */
function take({ observer }: Inspector, record: SourceRecord): void {
  observer.started(shop, record)
  observer.ended(shop, record, 'settled')
}

test('a port that is taken gives a plain message', async () => {
  const { port } = await start()
  const error = await start({ port }).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(InspectorError)
  expect(error).toMatchObject({
    code: 'port-in-use',
    message: `port ${port} is already in use`,
    hint: expect.stringContaining('--inspector-port'),
  })
})
