import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { fieldsOf } from './harness.ts'

/** `IDLE_CONNECTIONS=10000` is the size that is promised; a small one shows that the measurement works. */
const count = Number(process.env['IDLE_CONNECTIONS'] ?? 500)
const atOnce = 100

/** A client below the level of frames: ten thousand of them are to cost the measuring process little. */
async function subscribed(port: number, index: number): Promise<Socket> {
  // Addresses of its own for every few thousand, since each has only so many ports.
  const socket = connect({ port, host: '127.0.0.1', localAddress: `127.0.0.${2 + Math.floor(index / 5_000)}` })
  const lines = ['GET /app/shop-key?protocol=7 HTTP/1.1', 'Host: x', 'Upgrade: websocket', 'Connection: Upgrade']
  socket.write(`${[...lines, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13'].join('\r\n')}\r\n\r\n`)
  const message = Buffer.from(JSON.stringify({ event: 'pusher:subscribe', data: { channel: `user.${index}` } }))
  // Masked with zeros, so that the payload stands as it is.
  socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | message.length, 0, 0, 0, 0]), message]))
  let text = ''
  while (!text.includes('subscription_succeeded')) text += String((await once(socket, 'data'))[0])
  return socket
}

test(`${count} idle connections, each with a channel of its own, fit into memory`, async () => {
  const child = fork(new URL('./lone-server.mjs', import.meta.url), { execArgv: ['--expose-gc'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [{ port }] = await once(child, 'message')
  const measure = async () => {
    child.send('measure')
    const [usage] = await once(child, 'message')
    return fieldsOf({ event: 'usage', data: usage })
  }
  const sockets: Socket[] = []
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
  })
  const open = async (from: number, to: number) => {
    for (let start = from; start < to; start += atOnce) {
      const opened = Array.from({ length: Math.min(atOnce, to - start) }, (_, index) => subscribed(port, start + index))
      sockets.push(...(await Promise.all(opened)))
    }
  }
  // The first ones pay for compiled code and caches, and fill what loading left free.
  const warm = 200
  await open(0, warm)
  const before = await measure()
  await open(warm, warm + count)
  const after = await measure()
  const each = (key: string) => Math.round((Number(after[key]) - Number(before[key])) / count)
  const totals = [before, after].map(({ rss }) => `${Math.round(Number(rss) / 2 ** 20)} MB`).join(' before, ')
  console.log(`${count} connections: ${each('rss')} bytes of RSS each (${totals} after), ${each('heapUsed')} of them used on the heap`)
  expect(after).toMatchObject({ sockets: warm + count, subscriptions: warm + count, channels: warm + count })
  // A few hundred tell little about pages of memory; what is on the heap is exact enough for a leak to show.
  expect(each('heapUsed')).toBeLessThan(count >= 10_000 ? 12_000 : 16_000)
  if (count >= 10_000) expect(each('rss')).toBeLessThan(12_000)
}, 120_000)
