import { existsSync } from 'node:fs'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { readRouterConfig } from '../../src/config/read-router-config.ts'
import { createInspector, type Inspector } from '../../src/inspector/inspector.ts'
import type { InspectorState } from '../../src/inspector/inspector-state.ts'
import type { PublishRequest } from '../../src/inspector/publish-request.ts'
import { tapHub } from '../../src/inspector/tapped-hub.ts'
import type { Hub } from '../../src/realtime/hub.ts'
import { createRealtimeServer, type RealtimeServer } from '../../src/realtime/realtime-server.ts'

const executablePath = '/usr/bin/chromium'
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
const patient = { timeout: 20_000 }

const state: InspectorState = {
  app: 'shop',
  generation: 1,
  subscriptions: [
    {
      name: 'orders',
      file: 'routes/orders.yaml',
      broker: 'local',
      group: 'shop.orders',
      topics: ['orders', 'orders.payments'],
      routes: [
        {
          name: 'order-created',
          events: ['order.created'],
          conditional: true,
          actions: ['invoke handlers/receipt.ts', 'broadcast private-user.{{data.user_id}}'],
        },
        { name: 'payments', events: ['payment.*'], conditional: false, actions: ['broadcast private-admin.payments'] },
      ],
      unmatched: { name: 'unmatched', events: [], conditional: false, actions: ['broadcast private-{{topic}}'] },
    },
  ],
}

interface Stage {
  readonly server: RealtimeServer
  readonly inspector: Inspector
  readonly hub: Hub
  readonly page: Page
  readonly published: PublishRequest[]
  /** What the browser complained about: errors of scripts, blocked content. */
  readonly complaints: string[]
  readonly requested: string[]
}

describe.skipIf(!existsSync(executablePath))('the page in Chromium (needs /usr/bin/chromium)', () => {
  let browser: Browser
  const stages: Stage[] = []

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  })
  afterAll(() => browser.close())
  afterEach(async () => {
    for (const { page, inspector, server } of stages.splice(0)) {
      await page.close()
      await inspector.close()
      await server.close({ graceMs: 1000 })
    }
  })

  async function open({
    before,
    publish,
  }: {
    before?: (hub: Hub) => void
    publish?: (record: PublishRequest) => Promise<void>
  } = {}): Promise<Stage> {
    const server = createRealtimeServer({
      config: {
        ...readRouterConfig('/shop', undefined, 'dev', () => false).config.server,
        host: '127.0.0.1',
        port: 0,
        apps: [{ id: 'app', key: 'app-key', secret: 'app-secret' }],
        channels: [],
      },
      log: silent,
      mode: 'dev',
      endpoints: { ready: () => ({ ok: true, body: {} }), metrics: async () => ({ contentType: 'text/plain', body: '' }) },
    })
    const { port } = await server.listen()
    const published: PublishRequest[] = []
    const inspector = createInspector({
      host: '127.0.0.1',
      port: 0,
      token: 'command-line-token',
      state: () => state,
      publish: publish ?? (async record => void published.push(record)),
      pusher: { key: 'app-key', port },
      log: silent,
    })
    const hub = tapHub(server.hub, 'app', inspector)
    before?.(hub)
    const address = await inspector.listen()
    const page = await browser.newPage({ viewport: { width: 1360, height: 860 } })
    const complaints: string[] = []
    const requested: string[] = []
    page.on('console', message => message.type() === 'error' && complaints.push(message.text()))
    page.on('pageerror', error => complaints.push(String(error)))
    page.on('request', request => requested.push(request.url()))
    page.on('websocket', socket => requested.push(socket.url()))
    const stage = { server, inspector, hub, page, published, complaints, requested }
    stages.push(stage)
    await page.goto(`http://127.0.0.1:${address.port}/`)
    await page.locator('#connection[data-state="connected"]').waitFor()
    // The stream of channels and first events is open too.
    await page.getByText('generation 1').waitFor()
    return stage
  }

  function broadcast(hub: Hub, channel: string, event: string, data: unknown): void {
    if (hub.hasSubscribers('app', channel)) hub.broadcast('app', channel, event, data)
  }

  /** Resolves when the page is subscribed: from then on the real hub has somebody to send to. */
  async function followed({ server }: Stage, channel: string): Promise<void> {
    await expect.poll(() => server.hub.hasSubscribers('app', channel), patient).toBe(true)
  }

  const rows = (page: Page) => page.locator('#events li')

  test('events of public and private channels arrive, the very first one of a channel included', async () => {
    const stage = await open()
    const { hub, page } = stage
    broadcast(hub, 'news', 'headline', { title: 'first' })
    broadcast(hub, 'private-user.1', 'order.confirmed', { order: 17, note: '<img src=x onerror=alert(1)>' })
    await followed(stage, 'news')
    await followed(stage, 'private-user.1')
    broadcast(hub, 'private-user.1', 'order.shipped', { order: 17 })
    await rows(page).nth(2).waitFor()
    expect(await page.locator('#events .name').allTextContents()).toEqual(['order.shipped', 'order.confirmed', 'headline'])
    expect(await page.locator('#channels .name').allTextContents()).toEqual(['news', 'private-user.1'])
    await rows(page).nth(1).locator('summary').click()
    expect(await rows(page).nth(1).locator('pre').textContent()).toContain('"note": "<img src=x onerror=alert(1)>"')
    expect(await page.locator('#events img').count()).toBe(0)
    expect(stage.complaints).toEqual([])
  })

  test('channels from before the page was opened are followed', async () => {
    const stage = await open({ before: hub => broadcast(hub, 'private-user.7', 'early', {}) })
    await followed(stage, 'private-user.7')
    broadcast(stage.hub, 'private-user.7', 'late', {})
    await rows(stage.page).first().waitFor()
    expect(await stage.page.locator('#events .name').allTextContents()).toEqual(['late'])
  })

  test('many channels at once are all followed', async () => {
    const stage = await open()
    for (let n = 0; n < 120; n++) broadcast(stage.hub, `private-user.${n}`, 'saved', { n })
    for (const n of [0, 60, 119]) await followed(stage, `private-user.${n}`)
    expect(await stage.page.locator('#channels li').count()).toBe(120)
    expect(stage.complaints).toEqual([])
  })

  test('holds the last 200 events and counts all', async () => {
    const stage = await open()
    broadcast(stage.hub, 'news', 'headline', { n: 0 })
    await followed(stage, 'news')
    for (let n = 1; n <= 500; n++) broadcast(stage.hub, 'news', 'headline', { n })
    await expect.poll(() => stage.page.locator('#event-count').textContent(), patient).toBe('501')
    await expect.poll(() => rows(stage.page).count(), patient).toBe(200)
    expect(await rows(stage.page).first().locator('.preview').textContent()).toBe('{"n":500}')
  })

  test('pausing holds events back, going on shows them', async () => {
    const stage = await open()
    broadcast(stage.hub, 'news', 'headline', { n: 0 })
    await followed(stage, 'news')
    await rows(stage.page).first().waitFor()
    await stage.page.getByRole('button', { name: 'Pause' }).click()
    broadcast(stage.hub, 'news', 'headline', { n: 1 })
    await stage.page.getByRole('button', { name: 'Go on (1)' }).waitFor()
    expect(await rows(stage.page).count()).toBe(1)
    await stage.page.getByRole('button', { name: 'Go on (1)' }).click()
    await rows(stage.page).nth(1).waitFor()
  })

  test('a channel and the filter narrow what is shown', async () => {
    const stage = await open()
    broadcast(stage.hub, 'news', 'headline', { title: 'Trains' })
    broadcast(stage.hub, 'weather', 'rain', { mm: 3 })
    await rows(stage.page).nth(1).waitFor()
    const visible = () => stage.page.locator('#events li:visible .name').allTextContents()
    await stage.page.getByRole('button', { name: 'news' }).click()
    expect(await visible()).toEqual(['headline'])
    await stage.page.getByRole('button', { name: 'news' }).click()
    await stage.page.keyboard.press('/')
    await stage.page.keyboard.type('MM":3')
    expect(await visible()).toEqual(['rain'])
    await stage.page.getByRole('searchbox').fill('nothing like it')
    await stage.page.getByText('None of the last events fits the filter.').waitFor()
  })

  test('the form sends what was written, by keyboard alone', async () => {
    const { page, published } = await open()
    expect(await page.getByLabel('Topic').inputValue()).toBe('orders')
    expect(await page.getByLabel('Event', { exact: true }).inputValue()).toBe('order.created')
    await page.getByLabel('Key').fill('u7')
    await page.getByLabel('Data').fill('{"user_id": 7}')
    await page.keyboard.press('Control+Enter')
    await page.getByText('Sent order.created to orders').waitFor()
    expect(published).toEqual([{ topic: 'orders', event: 'order.created', key: 'u7', data: { user_id: 7 } }])
  })

  test('data that is not JSON is not sent, and a refusal is shown', async () => {
    const { page, published } = await open({ publish: () => Promise.reject(new Error('the broker is away')) })
    await page.getByLabel('Data').fill('{user_id: 7}')
    await page.getByRole('button', { name: 'Send' }).click()
    await page.getByText('The data is not valid JSON').waitFor()
    expect(published).toEqual([])
    await page.getByLabel('Data').fill('{}')
    await page.getByRole('button', { name: 'Send' }).click()
    await page.getByText('Not sent: the broker is away').waitFor()
  })

  test('a rejected change shows its problems with the code frame, an applied one what changed', async () => {
    const { page, inspector } = await open()
    const problem = {
      code: 'schema-unknown-key',
      severity: 'error',
      message: 'unknown key "actionss"',
      file: 'routes/orders.yaml',
      range: { start: { line: 4, column: 5 }, end: { line: 4, column: 13 } },
      hint: 'did you mean "actions"?',
    } as const
    const sources = new Map([['routes/orders.yaml', 'topics: orders\nroutes:\n  paid:\n    actionss:\n      - broadcast: news\n']])
    inspector.reloaded({ kind: 'rejected', problems: [problem], sources })
    await page.getByRole('heading', { name: 'Change rejected' }).waitFor()
    const frame = await page.locator('#reload pre').textContent()
    expect(frame).toContain('routes/orders.yaml:4:5')
    expect(frame).toContain('actionss:')
    inspector.reloaded({ kind: 'applied', generation: 2, summary: ['routes/orders.yaml: added route paid'], problems: [], sources })
    await page.getByRole('heading', { name: 'Change applied' }).waitFor()
    expect(await page.locator('#reload li').allTextContents()).toEqual(['routes/orders.yaml: added route paid'])
    expect(await page.locator('#reload pre').count()).toBe(0)
  })

  test('shows what listens to what', async () => {
    const { page } = await open()
    const wiring = page.locator('#wiring')
    await wiring.getByText('orders, orders.payments on local').waitFor()
    const text = await wiring.textContent()
    for (const part of ['order-created order.created under conditions', 'invoke handlers/receipt.ts', 'payment.*', 'anything else'])
      expect(text).toContain(part)
  })

  test('asks for nothing outside loopback', async () => {
    const stage = await open()
    broadcast(stage.hub, 'private-user.1', 'saved', {})
    await followed(stage, 'private-user.1')
    expect(stage.requested.length).toBeGreaterThan(5)
    expect(stage.requested.filter(url => new URL(url).hostname !== '127.0.0.1')).toEqual([])
  })

  test('says when the realtime server is gone', async () => {
    const stage = await open()
    await stage.server.close({ graceMs: 500 })
    await stage.page.locator('#connection:not([data-state="connected"])').waitFor()
  })
})
