import { createRequire } from 'node:module'
import { onTestFinished } from 'vitest'

const require = createRequire(import.meta.url)
/** pusher-js's build for Node is CommonJS, while its types describe an ES module. */
const PusherClient: typeof import('pusher-js').default = require('pusher-js')

export interface ReceivedEvent {
  readonly channel: string
  readonly event: string
  readonly data: unknown
}

/** An unmodified pusher-js client that keeps what it receives. */
export class Subscriber {
  readonly received: ReceivedEvent[] = []
  readonly pusher: import('pusher-js').default
  readonly #waiting = new Set<() => void>()

  constructor(port: number, key: string) {
    this.pusher = new PusherClient(key, {
      wsHost: '127.0.0.1',
      wsPort: port,
      forceTLS: false,
      enabledTransports: ['ws'],
      disableStats: true,
      cluster: '',
      channelAuthorization: { endpoint: `http://127.0.0.1:${port}/pusher/auth`, transport: 'ajax' },
    })
    onTestFinished(() => this.pusher.disconnect())
  }

  /** Resolves once the server has confirmed the subscription. */
  async subscribe(...channels: readonly string[]): Promise<void> {
    await Promise.all(channels.map(name => this.#subscribeOne(name)))
  }

  /** Resolves once `count` events have arrived in all. */
  async atLeast(count: number): Promise<readonly ReceivedEvent[]> {
    await this.until(() => this.received.length >= count)
    return this.received
  }

  async until(holds: () => boolean): Promise<void> {
    if (holds()) return
    await new Promise<void>(resolve => {
      const look = () => {
        if (!holds()) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
    })
  }

  #subscribeOne(name: string): Promise<void> {
    const channel = this.pusher.subscribe(name)
    channel.bind_global((event: string, data: unknown) => {
      if (event.startsWith('pusher:')) return
      this.received.push({ channel: name, event, data })
      for (const look of this.#waiting) look()
    })
    return new Promise((resolve, reject) => {
      channel.bind('pusher:subscription_succeeded', () => resolve())
      channel.bind('pusher:subscription_error', (error: unknown) => reject(new Error(`${name}: ${JSON.stringify(error)}`)))
    })
  }
}
