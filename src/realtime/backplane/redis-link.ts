import { Redis } from 'ioredis'
import { BackplaneError, type BackplaneLog } from './backplane.ts'
import type { Script } from './redis-scripts.ts'

export interface RedisLinkOptions {
  /** `redis://` or `rediss://`, with user, password and database as usual. */
  readonly url: string
  readonly log: BackplaneLog
  /** Channels of Redis to hear. */
  readonly topics: () => readonly string[]
  readonly onMessage: (topic: string, message: Buffer) => void
  /** Both ways work; what was said since the last time has not been heard. */
  readonly onUp: () => void
  readonly onDown: () => void
}

/** A question that stays without an answer for so long means that the connection is dead, in ms. */
const answerWithinMs = 3_000
const longestReconnectMs = 1_000

/** Two connections to Redis, since one that listens does not ask: one for commands, one for messages. */
export class RedisLink {
  readonly #options: RedisLinkOptions
  readonly #place: string
  readonly #commands: Redis
  readonly #messages: Redis
  #runId: string | undefined
  #isAsked = false
  #isListening = false
  #isUp = false
  #isClosed = false
  #lastError: string | undefined
  /** Ends the wait of `open`. */
  #settle = () => {}

  constructor(options: RedisLinkOptions) {
    this.#options = options
    this.#place = `Redis at ${new URL(options.url).host}`
    this.#commands = this.#client('signalbox-backplane')
    this.#messages = this.#client('signalbox-backplane-messages')
    this.#commands.on('ready', () => void this.#ask())
    this.#commands.on('close', () => {
      this.#runId = undefined
      this.#isAsked = false
    })
    this.#messages.on('ready', () => void this.#listen())
    this.#messages.on('close', () => {
      this.#isListening = false
    })
    for (const client of [this.#commands, this.#messages]) {
      client.on('close', () => {
        this.#look()
        this.#settle()
      })
      client.on('error', (error: Error) => {
        this.#lastError = error.message
        options.log.debug({ backplane: this.#place, error: error.message }, 'a connection of the backplane failed')
      })
    }
    this.#messages.on('messageBuffer', (topic: Buffer, message: Buffer) => options.onMessage(topic.toString(), message))
  }

  /** Both ways work. */
  get isUp(): boolean {
    return this.#isUp
  }

  /** Of the Redis that answers: after a restart, or a failover, it is another. Undefined where Redis does not tell. */
  get runId(): string | undefined {
    return this.#runId
  }

  get canSend(): boolean {
    return this.#commands.status === 'ready'
  }

  /** Resolves when both ways work, or when the first try has failed. */
  async open(): Promise<void> {
    const settled = new Promise<void>(resolve => {
      this.#settle = resolve
    })
    try {
      await Promise.all([this.#commands.connect(), this.#messages.connect()])
      await settled
    } catch (error) {
      const reason = this.#lastError ?? (error instanceof Error ? error.message : String(error))
      this.#options.log.warn(
        { backplane: this.#place, error: reason },
        'the backplane is not reachable yet: events reach the sockets of this instance only',
      )
    }
  }

  close(): void {
    this.#isClosed = true
    this.#commands.disconnect()
    this.#messages.disconnect()
  }

  /** Rejects with BackplaneError. */
  async run({ lua, sha }: Script, values: readonly (string | number | Buffer)[]): Promise<unknown> {
    const args = values.map(value => (Buffer.isBuffer(value) ? value : String(value)))
    return await this.ask(async redis => {
      try {
        return await redis.evalsha(sha, 0, ...args)
      } catch (error) {
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
        return await redis.eval(lua, 0, ...args)
      }
    })
  }

  /** Runs commands. Rejects with BackplaneError. */
  async ask<Reply>(question: (redis: Redis) => Promise<Reply>): Promise<Reply> {
    try {
      return await question(this.#commands)
    } catch (error) {
      throw this.#unanswered(error)
    }
  }

  /** Throws BackplaneError where nothing can be sent at all. */
  expectToSend(): void {
    if (!this.canSend) throw this.#unanswered(undefined)
  }

  /** A listening connection that is dead is silent: this finds out. */
  probe(): void {
    if (this.#messages.status === 'ready') this.#messages.ping().catch(() => {})
  }

  #unanswered(error: unknown): BackplaneError {
    const reason = this.#lastError ?? (error instanceof Error ? error.message : String(error ?? 'there is no connection'))
    return new BackplaneError(`${this.#place} does not answer: ${reason}`, { cause: error })
  }

  #client(connectionName: string): Redis {
    return new Redis(this.#options.url, {
      lazyConnect: true,
      // What was not answered is said again by whoever knows whether it still holds.
      autoResendUnfulfilledCommands: false,
      autoResubscribe: false,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      enableReadyCheck: false,
      socketTimeout: answerWithinMs,
      connectTimeout: answerWithinMs,
      retryStrategy: times => Math.min(longestReconnectMs, 50 * 2 ** Math.min(times, 10)),
      connectionName,
    })
  }

  async #ask(): Promise<void> {
    try {
      this.#runId = /^run_id:(\w+)/m.exec(await this.#commands.info('server'))?.[1]
    } catch (error) {
      this.#lastError = error instanceof Error ? error.message : String(error)
      this.#options.log.debug({ backplane: this.#place, error: this.#lastError }, 'the backplane does not tell which server it is')
    }
    if (!this.canSend) return
    this.#isAsked = true
    this.#look()
  }

  async #listen(): Promise<void> {
    try {
      await this.#messages.subscribe(...this.#options.topics())
      this.#isListening = true
      this.#look()
    } catch (error) {
      this.#lastError = error instanceof Error ? error.message : String(error)
      this.#options.log.debug({ backplane: this.#place, error: this.#lastError }, 'the backplane cannot be listened to')
      // A refusal leaves the connection as it is: the next one may be let in.
      this.#messages.disconnect(true)
    }
  }

  #look(): void {
    const isUp = this.#isListening && this.#isAsked && !this.#isClosed
    if (isUp === this.#isUp) return
    this.#isUp = isUp
    if (isUp) {
      this.#lastError = undefined
      this.#options.onUp()
      this.#settle()
    } else this.#options.onDown()
  }
}
