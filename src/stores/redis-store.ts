import { createHash } from 'node:crypto'
import { Redis } from 'ioredis'
import {
  type Claim,
  type ClaimAnswer,
  type Completion,
  type GroupedBackend,
  type Holding,
  StoreError,
  type StoreLog,
} from './idempotency-store.ts'

export interface RedisStoreOptions {
  /** `redis://` or `rediss://`, with user, password and database as usual. */
  readonly url: string
  readonly log: StoreLog
  /** How long a question may stay without an answer before the connection counts as dead, in ms. */
  readonly timeoutMs?: number
}

const keyPrefix = 'signalbox:idempotency:'
const longestReconnectMs = 1_000

interface Script {
  readonly lua: string
  readonly sha: string
}

/** A key holds `p<owner>` while it is in progress (it runs out with the lease) and `c<check>` once it is completed (with the ttl). */
const scripts = {
  claim: script(`
    local answers = {}
    for i, key in ipairs(KEYS) do
      local mine = 'p' .. ARGV[i * 2 - 1]
      local held = redis.call('SET', key, mine, 'NX', 'GET', 'PX', ARGV[i * 2])
      if not held then answers[i] = 1
      elseif held == mine then redis.call('PEXPIRE', key, ARGV[i * 2]) answers[i] = 1
      elseif string.sub(held, 1, 1) == 'c' then answers[i] = held
      else answers[i] = 0 end
    end
    return answers`),
  complete: script(`
    local answers = {}
    for i, key in ipairs(KEYS) do
      local held = redis.call('GET', key)
      if not held or held == 'p' .. ARGV[i * 3 - 2] then
        redis.call('SET', key, 'c' .. ARGV[i * 3], 'PX', ARGV[i * 3 - 1])
        answers[i] = 1
      elseif string.sub(held, 1, 1) == 'c' then answers[i] = 1
      else answers[i] = 0 end
    end
    return answers`),
  release: script(`
    local answers = {}
    for i, key in ipairs(KEYS) do
      answers[i] = redis.call('GET', key) == 'p' .. ARGV[i] and redis.call('DEL', key) or 0
    end
    return answers`),
} as const

/** Keys that every instance shares. One script call for each group; the clock that counts is the server's. */
export class RedisStore implements GroupedBackend {
  readonly #client: Redis
  readonly #place: string
  #lastError: string | undefined

  private constructor({ url, log, timeoutMs = 3_000 }: RedisStoreOptions) {
    const { host } = new URL(url)
    this.#place = `Redis at ${host}`
    this.#client = new Redis(url, {
      lazyConnect: true,
      // A question that was not answered is asked again by whoever wants to know: never by the client, behind its back.
      autoResendUnfulfilledCommands: false,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      // A server that loads its data says so by itself.
      enableReadyCheck: false,
      socketTimeout: timeoutMs,
      connectTimeout: timeoutMs,
      retryStrategy: times => Math.min(longestReconnectMs, 50 * 2 ** Math.min(times, 10)),
      connectionName: 'signalbox-idempotency',
    })
    this.#client.on('error', (error: Error) => {
      this.#lastError = error.message
      log.debug({ store: this.#place, error: error.message }, 'the connection to the idempotency store failed')
    })
    this.#client.on('ready', () => {
      this.#lastError = undefined
    })
  }

  /** Resolves when it is connected, or when the first try has failed: the client goes on trying. */
  static async open(options: RedisStoreOptions): Promise<RedisStore> {
    const store = new RedisStore(options)
    await store.#client.connect().catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error)
      options.log.warn({ store: store.#place, error: store.#lastError ?? reason }, 'the idempotency store is not reachable yet')
    })
    return store
  }

  async claim(claims: readonly Claim[]): Promise<readonly ClaimAnswer[]> {
    const answers = await this.#run(
      scripts.claim,
      claims,
      claims.flatMap(({ owner, leaseMs }) => [owner, leaseMs]),
    )
    return answers.map(answer => (typeof answer === 'string' ? { check: answer.slice(1) } : answer === 1 ? 'claimed' : 'busy'))
  }

  /** A claim that is there already is only prolonged. */
  async renew(claims: readonly Claim[]): Promise<readonly boolean[]> {
    return (await this.claim(claims)).map(answer => answer === 'claimed')
  }

  async complete(completions: readonly Completion[]): Promise<readonly boolean[]> {
    const answers = await this.#run(
      scripts.complete,
      completions,
      completions.flatMap(({ owner, ttlMs, check }) => [owner, ttlMs, check]),
    )
    return answers.map(answer => answer === 1)
  }

  release(holdings: readonly Holding[]): Promise<readonly unknown[]> {
    return this.#run(
      scripts.release,
      holdings,
      holdings.map(({ owner }) => owner),
    )
  }

  async close(): Promise<void> {
    this.#client.disconnect()
  }

  async #run({ lua, sha }: Script, holdings: readonly Holding[], args: readonly (string | number)[]): Promise<readonly unknown[]> {
    const keys = holdings.map(({ key }) => keyPrefix + key)
    try {
      const reply = await this.#client.evalsha(sha, keys.length, ...keys, ...args).catch((error: unknown) => {
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
        return this.#client.eval(lua, keys.length, ...keys, ...args)
      })
      return Array.isArray(reply) ? reply : []
    } catch (error) {
      const reason = this.#lastError ?? (error instanceof Error ? error.message : String(error))
      throw new StoreError('unavailable', `${this.#place} does not answer: ${reason}`, { cause: error })
    }
  }
}

function script(lua: string): Script {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') }
}
