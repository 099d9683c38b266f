import Pusher from 'pusher'
import { expect, test } from 'vitest'
import { app, asks, connectedClient, nextOf, pusherClient, startServer } from './harness.ts'

const channel = 'private-encrypted-secrets'

function encryptingServer(port: number): Pusher {
  return new Pusher({
    appId: app.id,
    key: app.key,
    secret: app.secret,
    host: '127.0.0.1',
    port: String(port),
    useTLS: false,
    encryptionMasterKeyBase64: Buffer.alloc(32, 7).toString('base64'),
  })
}

test('what the pusher package encrypts is relayed untouched', async () => {
  const { port } = await startServer()
  const client = await connectedClient(port)
  await client.join(channel)
  await encryptingServer(port).trigger(channel, 'note', { text: 'between us' })
  const received = await client.event('note', channel)
  expect(JSON.parse(String(received.data))).toEqual({ nonce: expect.any(String), ciphertext: expect.any(String) })
})

test('pusher-js decrypts it with the secret that an authorize module gives', async () => {
  const app = { shared_secret: '' }
  const { port, http } = await startServer({
    channels: { 'private-encrypted-*': asks('secret.ts') },
    findModule: () => () => ({ shared_secret: app.shared_secret }),
  })
  const server = encryptingServer(port)
  app.shared_secret = String(server.authorizeChannel('1.1', channel).shared_secret)
  const client = pusherClient(port, { channelAuthorization: { endpoint: `${http}/pusher/auth`, transport: 'ajax' } })
  const subscribed = client.subscribe(channel)
  await nextOf(subscribed, 'pusher:subscription_succeeded')
  const received = nextOf(subscribed, 'note')
  await server.trigger(channel, 'note', { text: 'between us' })
  expect(await received).toEqual({ text: 'between us' })
})

test('plain data of a route is not sent to an encrypted channel', async () => {
  const { server, port } = await startServer()
  const client = await connectedClient(port)
  await client.join(channel)
  expect(() => server.hub.broadcast(app.id, channel, 'note', { text: 'for everybody to read' })).toThrow(
    expect.objectContaining({ code: 'not-encrypted', permanent: true }),
  )
})

test('clients send no events there', async () => {
  const { server, port } = await startServer({ apps: [{ ...app, clientEvents: true }] })
  const client = await connectedClient(port)
  await client.join(channel)
  client.send({ event: 'client-note', channel, data: {} })
  await client.event('pusher:error')
  expect(server.stats().refusals).toEqual({ 'client-event': 1 })
})
