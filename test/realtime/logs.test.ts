import { expect, test } from 'vitest'
import { webhookEvents } from '../../src/config/router-config.ts'
import { app, asks, connectedClient, rawClient, startServer, until } from './harness.ts'

const secrets = { payload: 'pay-4711', member: 'member-4711', cookie: 'cookie-4711', token: 'token-4711', signature: 'signature-4711' }

test('whatever goes wrong, no line of the log holds what clients and the app said to each other', async () => {
  const lines: string[] = []
  const note = (details: object, message: string): void => {
    const error = 'err' in details && details.err instanceof Error ? String(details.err.stack) : ''
    lines.push(`${message} ${JSON.stringify(details)} ${error}`)
  }
  const jwt = {
    key: { kind: 'secret', secret: 'a secret of at least 32 characters' },
    algorithms: ['HS256'],
    issuer: undefined,
    audience: undefined,
    clockToleranceMs: 0,
  } as const
  const unreachable = [{ url: 'http://127.0.0.1:1/', events: webhookEvents }]
  const { server, port, http } = await startServer({
    log: { debug: note, info: note, warn: note, error: note },
    apps: [{ ...app, clientEvents: true, webhooks: unreachable, jwt }],
    channels: { 'private-asked': asks('may-join.ts') },
    findModule: () => () => {
      throw new Error('the module fails')
    },
    limits: { apiEvent: 200 },
    timings: { webhookBatchMs: 1, webhookDebounceMs: 1, webhookRetryMs: 1, webhookRetryForMs: 1, sweepMs: 10, refusalLogMs: 10 },
  })
  await rawClient(port, { path: `/app/shop-key?protocol=7&token=${secrets.token}` }).closed
  const client = await connectedClient(port, { headers: { cookie: `session=${secrets.cookie}` } })
  await client.join('presence-room', { user_id: secrets.member, user_info: secrets.member })
  client.send({ event: 'client-note', channel: 'presence-room', data: secrets.payload })
  client.send({ event: 'client-note', channel: 'presence-room', data: secrets.payload.repeat(50) })
  client.send(`${secrets.payload} {`)
  client.send({ event: 'pusher:subscribe', data: { channel: 'private-a', auth: `shop-key:${secrets.signature}` } })
  client.send({ event: 'router:auth', data: { token: secrets.token } })
  client.send({ event: 'pusher:subscribe', data: { channel: 'private-asked' } })
  await client.event('pusher:subscription_error', 'private-asked')
  await fetch(`${http}/apps/shop/events?auth_signature=${secrets.signature}`, { method: 'POST', body: secrets.payload })
  await fetch(`${http}/sse?channels=a&token=${secrets.token}`)
  server.hub.broadcast('shop', 'presence-room', 'note', secrets.payload)
  expect(() => server.hub.broadcast('shop', 'presence-room', 'note', secrets.payload.repeat(100_000))).toThrow()
  client.send(Buffer.from(secrets.payload))
  await client.closed
  await until(() => server.stats().webhookEventsDropped > 0)
  await server.close({ graceMs: 500 })

  const log = lines.join('\n')
  for (const line of ['socket closed', 'an authorize module failed', 'connections were refused', 'a webhook could not be sent'])
    expect(log).toContain(line)
  for (const secret of [...Object.values(secrets), app.secret]) expect(log).not.toContain(secret)
})
