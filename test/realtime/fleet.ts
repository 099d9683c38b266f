import Pusher from 'pusher'
import { app, type RawClient, type RunningServer } from './harness.ts'

export function names(client: RawClient): readonly string[] {
  return client.received.map(({ event }) => event)
}

/** The server counts so many subscriptions of a channel, in all. */
export async function watched(server: RunningServer, channel: string, subscriptions: number): Promise<void> {
  await eventually(
    async () => (await asked(server, `/channels/${channel}`, { info: 'subscription_count' }))['subscription_count'] === subscriptions,
  )
}

export async function eventually(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise(resolve => setTimeout(resolve, 10))
}

export function pusher({ port }: RunningServer): Pusher {
  return new Pusher({ appId: app.id, key: app.key, secret: app.secret, host: '127.0.0.1', port: String(port), useTLS: false })
}

export async function asked(
  server: RunningServer,
  path: string,
  params: Readonly<Record<string, string>> = {},
): Promise<Readonly<Record<string, unknown>>> {
  const response = await pusher(server).get({ path, params: { ...params } })
  const body: unknown = await response.json()
  return typeof body === 'object' && body !== null ? { ...body } : {}
}
