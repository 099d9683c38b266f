import { existsSync } from 'node:fs'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { RouterOptions, RunningRouter } from '../../src/runtime/router-options.ts'
import type { TestProject } from '../support/project.ts'
import { routerYaml, start, subscriberOf } from '../support/running-router.ts'

const executablePath = '/usr/bin/chromium'
const patient = { timeout: 20_000 }

const shopYaml = `topics: [orders, payments]
defaults: { retry: { attempts: 2, delay: 10ms }, deadLetter: shop.dlq }
routes:
  created:
    event: order.created
    when: { data.total: { gte: 100 } }
    actions:
      - broadcast: { channel: "private-user.{{data.user_id}}", event: order.confirmed, data: { order: "{{data.order_id}}" } }
      - emit: { topic: audit, data: "{{data}}" }
  paid:
    event: payment.*
    actions:
      - invoke: ../handlers/bank.ts
      - broadcast: private-admin.payments
`
const bank = `
export default async (event, ctx) => {
  if (event.data.bad) throw new Error('the bank said no, not-a-secret')
  if (event.data.flaky && ctx.attempt === 1) throw new Error('connection reset')
}
`

interface Stage {
  readonly page: Page
  readonly router: RunningRouter
  readonly project: TestProject
  /** What the browser complained about: errors of scripts, blocked content. */
  readonly complaints: string[]
  readonly requested: string[]
}

/** Runs in the page: each text whose contrast to its background is under 4.5:1, with both colours. Fails where it finds no text. */
const faintTexts = `(() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number)
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(each => (each / 255 <= 0.04045 ? each / 255 / 12.92 : ((each / 255 + 0.055) / 1.055) ** 2.4))
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const behind = element => {
    for (let at = element; at !== null; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor)
      if ((colour[3] ?? 1) === 1) return colour
    }
    return [255, 255, 255]
  }
  const hasText = element => [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim() !== '')
  const texts = [...document.body.querySelectorAll('*:not(svg *)')].filter(element => hasText(element) && element.checkVisibility())
  if (texts.length < 20) throw new Error('the page is empty')
  return texts.flatMap(element => {
    const [front, back] = [parts(getComputedStyle(element).color), behind(element)]
    const [dark, bright] = [light(front), light(back)].sort((one, other) => one - other)
    const contrast = (bright + 0.05) / (dark + 0.05)
    return contrast < 4.5 ? [element.textContent.trim() + ': ' + front + ' on ' + back + ' is ' + contrast.toFixed(2)] : []
  })
})()`

describe.skipIf(!existsSync(executablePath))('the page in Chromium (needs /usr/bin/chromium)', () => {
  let browser: Browser

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  })
  afterAll(() => browser.close())

  async function open(
    before?: (router: RunningRouter) => Promise<void>,
    options: Partial<RouterOptions> = {},
    more: Readonly<Record<string, string>> = {},
  ): Promise<Stage> {
    const files = { 'routes/shop.yaml': shopYaml, 'handlers/bank.ts': bank, ...more }
    const { router, project } = await start(files, { inspector: { port: 0, token: 'of-the-command-line' }, ...options })
    await before?.(router)
    const page = await browser.newPage({ viewport: { width: 1360, height: 860 } })
    onTestFinished(() => page.close())
    const complaints: string[] = []
    const requested: string[] = []
    page.on('console', message => message.type() === 'error' && complaints.push(message.text()))
    page.on('pageerror', error => complaints.push(String(error)))
    page.on('request', request => requested.push(request.url()))
    await page.goto(`http://127.0.0.1:${router.address.inspector?.port}/`)
    await page.locator('#connection[data-state="connected"]').waitFor()
    await page.getByText('generation 1', { exact: true }).waitFor()
    return { page, router, project, complaints, requested }
  }

  const rows = (page: Page) => page.getByRole('option')
  const order = (total: number, more: object = {}) => ({
    topic: 'orders',
    event: 'order.created',
    key: 'k7',
    data: { order_id: 17, user_id: 7, total, ...more },
  })
  const payment = (data: object) => ({ topic: 'payments', event: 'payment.made', data })

  test('a message shows its route and what went out, without anybody subscribed', async () => {
    const { page, router, complaints } = await open()
    await router.publish(order(120, { note: '<img src=x onerror=alert(1)>' }))
    const row = rows(page).filter({ hasText: 'created → private-user.7, audit' })
    await row.click()
    const panel = page.getByRole('tabpanel')
    await panel.getByText('✓ done').waitFor()
    await panel.getByText('private-user.7').click()
    expect(await panel.getByLabel('Data for private-user.7').textContent()).toContain('"order": 17')
    expect(await panel.getByLabel('Data', { exact: true }).textContent()).toContain('"note": "<img src=x onerror=alert(1)>"')
    expect(await page.locator('#stream img, .side img').count()).toBe(0)
    expect(complaints).toEqual([])
  })

  test('what came before the page was opened is there', async () => {
    const { page } = await open(router => router.publish(order(120)))
    await rows(page).filter({ hasText: 'order.created' }).first().waitFor()
  })

  test('a message that no route takes says why, with the value seen', async () => {
    const { page, router } = await open()
    await router.publish(order(60))
    await rows(page).filter({ hasText: 'no route took it' }).click()
    await page.getByText('does not hold at').waitFor()
    const why = await page.locator('.reasons').textContent()
    expect(why).toContain('shop/created does not take it')
    expect(why).toContain('data.total: { gte: 100 }')
    expect(why).toContain('data.total is 60')
    expect(why).toContain('the event is order.created, not payment.*')
  })

  test('retries and dead letters say what failed, without secrets', async () => {
    const { page, router } = await open()
    await router.publish(payment({ flaky: true }))
    await rows(page).filter({ hasText: '1 retry' }).waitFor()
    await router.publish(payment({ bad: true }))
    const row = rows(page).filter({ hasText: '→ shop.dlq: Error: the bank said no, [redacted]' })
    await row.click()
    await page.getByText('Dead-lettered to shop.dlq').waitFor()
    expect(await page.locator('.failures').textContent()).toContain('by shop/paid, action 0:invoke after 2 attempts')
    expect(await page.content()).not.toContain('not-a-secret')
  })

  test('a message is sent again, edited, by keyboard alone', async () => {
    const { page, router } = await open()
    await router.publish(order(60))
    await rows(page).first().waitFor()
    await page.keyboard.press('j')
    await page.getByRole('button', { name: 'Send again, edited' }).and(page.locator(':enabled')).waitFor()
    await page.keyboard.press('e')
    const data = page.getByLabel('Data JSON')
    await expect.poll(() => data.evaluate(field => field.matches(':focus')), patient).toBe(true)
    expect(await page.getByLabel('Key optional').inputValue()).toBe('k7')
    await data.fill((await data.inputValue()).replace('60', '600'))
    await page.keyboard.press('Control+Enter')
    await page.getByText('Sent order.created to orders').waitFor()
    await rows(page).filter({ hasText: 'created → private-user.7' }).waitFor()
  })

  test('a record with headers is sent again as it is: key, headers and value', async () => {
    const { page, router } = await open()
    const value = JSON.stringify({ order_id: 17, user_id: 7, total: 120 })
    const headers = { ce_specversion: '1.0', ce_type: 'order.created', ce_source: 'shop', ce_id: 'one', trace: 'größer' }
    const sent = await fetch(`http://127.0.0.1:${router.address.inspector?.port}/api/publish`, {
      method: 'POST',
      headers: { authorization: 'Bearer of-the-command-line', 'content-type': 'application/json' },
      body: JSON.stringify({ topic: 'orders', key: 'k7', raw: value, headers }),
    })
    expect(sent.ok).toBe(true)
    await rows(page).filter({ hasText: 'created → private-user.7' }).click()
    await page.getByRole('button', { name: 'Send again, edited' }).click()
    await page.getByRole('heading', { name: 'Send the record again' }).waitFor()
    expect(await page.getByLabel('Value the whole record, as it is').inputValue()).toBe(value)
    await page.getByRole('button', { name: 'Send', exact: true }).click()
    await page.getByText('Sent to orders').waitFor()
    await expect.poll(() => rows(page).filter({ hasText: 'created → private-user.7' }).count(), patient).toBe(2)
    await page.getByRole('tab', { name: 'Message' }).click()
    await rows(page).first().click()
    await page.getByText('größer').first().waitFor()
    await page.getByRole('tabpanel').getByText('k7', { exact: true }).waitFor()
  })

  test('what is not JSON is not sent, and a refusal is shown', async () => {
    const { page } = await open()
    await page.getByRole('tab', { name: 'Send' }).click()
    const send = page.getByRole('button', { name: 'Send', exact: true })
    await page.getByLabel('Data JSON').fill('{user_id: 7}')
    await send.click()
    await page.getByText('The data is not valid JSON').waitFor()
    await page.getByLabel('Data JSON').fill('{}')
    await page.getByRole('combobox', { name: 'Topic' }).fill('not a topic')
    await send.click()
    await page.getByText(/^Not sent: /).waitFor()
  })

  test('j and k move, Enter goes to the details, Esc comes back, / filters, ? helps', async () => {
    const { page, router } = await open()
    for (const total of [1, 2, 3]) await router.publish(order(total))
    await rows(page).nth(2).waitFor()
    const chosen = () => rows(page).evaluateAll(all => all.findIndex(row => row.getAttribute('aria-selected') === 'true'))
    const focused = () => page.locator(':focus').getAttribute('id')
    for (const [key, expected] of [
      ['j', 0],
      ['j', 1],
      ['j', 2],
      ['j', 2],
      ['k', 1],
    ] as const) {
      await page.keyboard.press(key)
      await expect.poll(chosen, patient).toBe(expected)
    }
    await page.keyboard.press('Enter')
    await expect.poll(focused, patient).toBe('message-title')
    await page.keyboard.press('Escape')
    await expect.poll(focused, patient).toBe('stream')
    await page.keyboard.press('/')
    await page.keyboard.type('total":3')
    await expect.poll(() => rows(page).count(), patient).toBe(1)
    await page.keyboard.press('Escape')
    await expect.poll(() => rows(page).count(), patient).toBe(3)
    await page.keyboard.press('Escape')
    await page.keyboard.press('?')
    await page.getByRole('dialog', { name: 'Keyboard' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'hidden' })
  })

  test('pausing holds messages back, going on shows them', async () => {
    const { page, router } = await open()
    await router.publish(order(1))
    await rows(page).first().waitFor()
    await page.getByRole('button', { name: 'Pause' }).click()
    await router.publish(order(2))
    await page.getByRole('button', { name: 'Go on (1)' }).click()
    await rows(page).nth(1).waitFor()
  })

  test('channels show who listens and what was sent', async () => {
    const { page, router } = await open()
    await subscriberOf(router, 'news')
    await router.publish(order(120))
    await page.getByRole('tab', { name: 'Channels' }).click()
    await page.getByRole('button', { name: 'news 1 subscriber · 0 events' }).waitFor()
    await page.getByRole('button', { name: 'private-user.7 0 subscribers · 1 event' }).click()
    await expect.poll(() => rows(page).count(), patient).toBe(1)
  })

  test('the page listens with pusher-js as browsers do, while it shows what arrives', async () => {
    const { page, router, complaints } = await open(
      undefined,
      {},
      {
        'router.yaml': `${routerYaml}  origins: [https://shop.example]\n`,
      },
    )
    const arrived = page.getByLabel('Events that arrived').getByRole('listitem')
    await router.publish(order(120))
    await page.getByRole('heading', { name: 'What a browser gets connected' }).waitFor()
    // Nobody could be subscribed to a channel before it was known.
    await expect.poll(() => router.publish(order(120)).then(() => arrived.count()), patient).toBeGreaterThan(0)
    expect(await arrived.first().textContent()).toMatch(/^order\.confirmed private-user\.7 .*\{"order":17\}$/)
    await page.getByRole('tab', { name: 'Channels' }).click()
    await page.getByRole('button', { name: /private-user.7 0 subscribers/ }).waitFor()
    expect(complaints).toEqual([])
  })

  test('the picture shows the flow, and the way of the chosen message', async () => {
    const { page, router } = await open()
    await page.getByRole('img', { name: '2 topics, 2 routes, 5 outputs' }).waitFor()
    await router.publish(order(120))
    await rows(page).filter({ hasText: 'private-user.7' }).click()
    await expect
      .poll(() => page.locator('.flow .node.taken title').allTextContents(), patient)
      .toEqual(['orders', 'shop/created', 'private-user.{{data.user_id}}', 'audit'])
  })

  test('a rejected change shows its problems with the code frame, an applied one what changed', async () => {
    const { page, router, project } = await open(undefined, { watch: false })
    await project.write('routes/shop.yaml', shopYaml.replace('actions:', 'actionss:'))
    await router.reload()
    await page.getByRole('heading', { name: 'Change rejected' }).waitFor()
    const frame = await page.getByLabel('Problems').textContent()
    expect(frame).toContain('routes/shop.yaml:7:5')
    expect(frame).toContain('actionss:')
    await project.write('routes/shop.yaml', shopYaml.replace('gte: 100', 'gte: 50'))
    await router.reload()
    await page.getByRole('heading', { name: 'Change applied' }).waitFor()
    await page.getByText('generation 2', { exact: true }).waitFor()
    expect(await page.getByLabel('Problems').count()).toBe(0)
  })

  test('thousands of messages at once leave the page at work: a sample, and how many were left out', async () => {
    const { page, router, complaints } = await open()
    const amount = 3_000
    await Promise.all(Array.from({ length: amount }, (_, n) => router.publish(order(n))))
    await expect.poll(() => page.locator('#seen').textContent(), patient).toMatch(/^[3-6],\d{3}$/)
    await page.getByText('too many to show').waitFor()
    expect(await rows(page).count()).toBeLessThanOrEqual(500)
    await router.publish(payment({ flaky: true }))
    await rows(page).filter({ hasText: 'payment.made' }).click()
    await page.getByText('✓ done').waitFor()
    expect(complaints).toEqual([])
  })

  test.each(['light', 'dark'] as const)('all text stands out from what is behind it (WCAG AA), %s', async colorScheme => {
    const { page, router, project } = await open(undefined, { watch: false })
    await page.emulateMedia({ colorScheme })
    await router.publish(payment({ bad: true }))
    await router.publish(order(60))
    await project.write('routes/shop.yaml', shopYaml.replace('actions:', 'actionss:'))
    await router.reload()
    await page.getByRole('heading', { name: 'Change rejected' }).waitFor()
    for (const message of ['no route took it', 'shop.dlq']) {
      await rows(page).filter({ hasText: message }).click()
      await page.getByText('Dead-lettered to shop.dlq').or(page.getByText('does not hold at')).first().waitFor()
      expect(await page.evaluate(faintTexts)).toEqual([])
    }
    for (const name of ['Send', 'Channels', 'Browser']) {
      await page.getByRole('tab', { name }).click()
      expect(await page.evaluate(faintTexts)).toEqual([])
    }
    await page.getByRole('button', { name: 'Pause' }).click()
    await page.getByRole('button', { name: 'Help on the keyboard' }).click()
    await page.getByRole('dialog', { name: 'Keyboard' }).waitFor()
    expect(await page.evaluate(faintTexts)).toEqual([])
  })

  test('every control has a role and a name, and the Tab key reaches it', async () => {
    const { page } = await open()
    await page.getByRole('tab', { name: 'Send' }).click()
    const controls = [
      page.getByRole('button', { name: 'Help on the keyboard' }),
      page.getByRole('searchbox', { name: 'Filter messages' }),
      page.getByRole('button', { name: 'Pause' }),
      page.getByRole('button', { name: 'Clear' }),
      page.getByRole('listbox', { name: 'Messages, newest first' }),
      // It may be larger than its place: the arrow keys scroll it.
      page.getByRole('group', { name: 'Picture of the flow' }),
      page.getByRole('tab', { name: 'Send', selected: true }),
      page.getByRole('combobox', { name: 'Topic' }),
      page.getByRole('combobox', { name: 'Event' }),
      page.getByRole('textbox', { name: 'Key' }),
      page.getByRole('textbox', { name: 'Id' }),
      page.getByRole('textbox', { name: 'Data JSON' }),
      page.getByRole('button', { name: 'Send', exact: true }),
    ]
    await page.getByRole('link', { name: 'Skip to the stream' }).focus()
    for (const control of controls) {
      const hasFocus = () => control.evaluate(element => element.matches(':focus'))
      await page.keyboard.press('Tab')
      expect(await hasFocus(), String(control)).toBe(true)
    }
    const operable = page.locator('a[href], button, input, textarea, summary').and(page.locator(':visible'))
    // All but the list and the picture are such elements; the link, and the tabs that the arrow keys reach, come on top.
    const byArrows = await page.getByRole('tab', { selected: false }).count()
    expect(await operable.count()).toBe(controls.length - 1 + byArrows)
  })

  test('asks for nothing but of its own address and the realtime server', async () => {
    const { page, router, requested } = await open()
    await router.publish(order(120))
    await rows(page).first().click()
    await page.getByText('takes it', { exact: true }).waitFor()
    const { origin } = new URL(page.url())
    expect(requested.length).toBeGreaterThan(15)
    const origins = [origin, `http://127.0.0.1:${router.address.port}`]
    expect(requested.filter(url => !origins.includes(new URL(url).origin))).toEqual([])
  })

  test('says when the router is gone', async () => {
    const { page, router } = await open()
    await router.stop()
    await page.locator('#connection:not([data-state="connected"])').waitFor()
  })
})
