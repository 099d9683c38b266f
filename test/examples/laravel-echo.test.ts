import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { describe, expect, onTestFinished, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { readExample, runExample } from './example.ts'

const executablePath = '/usr/bin/chromium'
const patient = { timeout: 20_000 }

describe.skipIf(!existsSync(executablePath))('laravel-echo in Chromium (needs /usr/bin/chromium)', () => {
  test('the page shows its own orders, and the site refuses a channel of somebody else', { timeout: 60_000 }, async () => {
    const example = await readExample('laravel-echo')
    const pagePort = await freePort()
    const address = `http://127.0.0.1:${pagePort}`
    const router = await runExample(example, { env: { APP_URL: address } })
    await servePage(example.root, pagePort, router.address.port)

    const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
    onTestFinished(() => browser.close())
    const page = await browser.newPage()
    await page.goto(address)
    const lines = () => page.locator('#events li').allTextContents()
    const start = ['listening to your orders', 'looking at the shop window', "not your neighbour's"]
    await expect.poll(async () => (await lines()).toSorted(), patient).toEqual(start)

    for (const event of example.published) await router.publish(event)
    await expect.poll(lines, patient).toHaveLength(5)
    expect((await lines()).slice(3).toSorted()).toEqual(['just sold: order 42', 'order 42 is on its way with DHL'])
  })
})

/** What `npx vite` does in the example's folder. */
async function servePage(root: string, port: number, routerPort: number): Promise<void> {
  // Before Vite is loaded: what the environment says goes before .env.
  process.env['VITE_REVERB_PORT'] = String(routerPort)
  const { createServer } = await import('vite')
  const cacheDir = await mkdtemp(join(tmpdir(), 'signalbox-vite-'))
  const server = await createServer({ root, cacheDir, logLevel: 'error', server: { port } })
  onTestFinished(async () => {
    await server.close()
    await rm(cacheDir, { recursive: true, force: true })
  })
  await server.listen()
}
