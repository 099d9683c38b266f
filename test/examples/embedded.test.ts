import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { Subscriber } from '../support/pusher-client.ts'
import { readExample } from './example.ts'

const service = fileURLToPath(new URL('../../examples/embedded/service.js', import.meta.url))

test('a service with the router inside: who orders over HTTP hears of it, and SIGTERM ends both', async () => {
  const child = spawn(process.execPath, [service], {
    env: { ...process.env, PORT: '0', SOCKET_PORT: '0' },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const exited = new Promise<number | null>(resolve => child.once('exit', resolve))
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const addresses = await new Promise<RegExpExecArray>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', line => {
      const match = /orders on (http:\S+), sockets on ws:\/\/127\.0\.0\.1:(\d+)/.exec(line)
      if (match !== null) resolve(match)
    })
    void exited.then(code => reject(new Error(`the service ended (${code})`)))
  })
  const { promised } = await readExample('embedded')
  const subscriber = new Subscriber(Number(addresses[2]), 'app-key')
  await subscriber.subscribe('user.7')
  const order = (body: string) => fetch(`${addresses[1]}/orders`, { method: 'POST', body })
  expect((await order('{"user_id": 7}')).status).toBe(202)
  expect(await subscriber.atLeast(1)).toEqual(promised)
  expect((await order('{"user_id"')).status).toBe(400)
  expect((await order('{}')).status).toBe(422)
  child.kill('SIGTERM')
  expect(await exited).toBe(0)
})
