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

/**
 * A key holds `p<owner>` while it is in progress (it runs out with the lease) and `c<check>` once it is completed (with the ttl). A call brings its questions
 * as one list in JSON: hundreds of arguments cost a client far more. What comes back is how many were asked, then those whose answer is not
 * the common one: number of the question, answer.
 */
const scripts = {
  /** ARGV: the lease; key and owner of each. Commonly: claimed. */
  claim: script(`
    local asked = cjson.decode(ARGV[2])
    local lease, others = ARGV[1], { #asked / 2 }
    for i = 1, #asked, 2 do
      local key, mine = '${keyPrefix}' .. asked[i], 'p' .. asked[i + 1]
      local held = redis.call('SET', key, mine, 'NX', 'GET', 'PX', lease)
      if held == mine then redis.call('PEXPIRE', key, lease)
      elseif held then
        others[#others + 1] = (i + 1) / 2
        others[#others + 1] = string.sub(held, 1, 1) == 'c' and held or 0
      end
    end
    return others`),
  /** ARGV: the ttl; key, owner and check of each. Commonly: completed. */
  complete: script(`
    local asked = cjson.decode(ARGV[2])
    local ttl, others = ARGV[1], { #asked / 3 }
    for i = 1, #asked, 3 do
      local key = '${keyPrefix}' .. asked[i]
      local held = redis.call('GET', key)
      if not held or held == 'p' .. asked[i + 1] then redis.call('SET', key, 'c' .. asked[i + 2], 'PX', ttl)
      elseif string.sub(held, 1, 1) ~= 'c' then
        others[#others + 1] = (i + 2) / 3
        others[#others + 1] = 0
      end
    end
    return others`),
  /** ARGV: key and owner of each. */
  release: script(`
    local asked = cjson.decode(ARGV[1])
    for i = 1, #asked, 2 do
      local key = '${keyPrefix}' .. asked[i]
      if redis.call('GET', key) == 'p' .. asked[i + 1] then redis.call('DEL', key) end
    end
    return { #asked / 2 }`),
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
    const answers: ClaimAnswer[] = claims.map(() => 'claimed')
    const groups = sharing(claims, ({ leaseMs }) => leaseMs)
    const ask = async ([leaseMs, { asked, places }]: Shared<Claim>) => {
      const others = await this.#run(scripts.claim, asked.length, [String(leaseMs), listed(asked)])
      for (const { place, answer } of readOthers(others, places))
        answers[place] = typeof answer === 'string' ? { check: answer.slice(1) } : 'busy'
    }
    await Promise.all(groups.map(ask))
    return answers
  }

  /** A claim that is there already is only prolonged. */
  async renew(claims: readonly Claim[]): Promise<readonly boolean[]> {
    return (await this.claim(claims)).map(answer => answer === 'claimed')
  }

  async complete(completions: readonly Completion[]): Promise<readonly boolean[]> {
    const answers = completions.map(() => true)
    const groups = sharing(completions, ({ ttlMs }) => ttlMs)
    const ask = async ([ttlMs, { asked, places }]: Shared<Completion>) => {
      const list = JSON.stringify(asked.flatMap(({ key, owner, check }) => [key, owner, check]))
      const others = await this.#run(scripts.complete, asked.length, [String(ttlMs), list])
      for (const { place } of readOthers(others, places)) answers[place] = false
    }
    await Promise.all(groups.map(ask))
    return answers
  }

  async release(holdings: readonly Holding[]): Promise<readonly unknown[]> {
    await this.#run(scripts.release, holdings.length, [listed(holdings)])
    return holdings
  }

  async close(): Promise<void> {
    this.#client.disconnect()
  }

  async #run({ lua, sha }: Script, asked: number, args: readonly string[]): Promise<readonly unknown[]> {
    try {
      const reply = await this.#client.evalsha(sha, 0, ...args).catch((error: unknown) => {
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
        return this.#client.eval(lua, 0, ...args)
      })
      // Whatever else it is, it must not pass for the common answer.
      if (!Array.isArray(reply) || reply[0] !== asked) throw new Error('the answer of its script is not one')
      return reply
    } catch (error) {
      const reason = this.#lastError ?? (error instanceof Error ? error.message : String(error))
      throw new StoreError('unavailable', `${this.#place} does not answer: ${reason}`, { cause: error })
    }
  }
}

/** What shares a lease or a ttl, and where it stands among all that was asked. */
type Shared<Asked> = readonly [ms: number, group: { readonly asked: readonly Asked[]; readonly places: readonly number[] }]

/** Nearly always one group: leases are all the same, and routes mostly share one ttl. */
function sharing<Asked>(all: readonly Asked[], msOf: (one: Asked) => number): readonly Shared<Asked>[] {
  const groups = new Map<number, { asked: Asked[]; places: number[] }>()
  for (const [place, one] of all.entries()) {
    const ms = msOf(one)
    const group = groups.get(ms) ?? { asked: [], places: [] }
    if (group.asked.length === 0) groups.set(ms, group)
    group.asked.push(one)
    group.places.push(place)
  }
  return [...groups]
}

function listed(holdings: readonly Holding[]): string {
  return JSON.stringify(holdings.flatMap(({ key, owner }) => [key, owner]))
}

/** A script's answer: how many were asked, then pairs of a question's number, from 1, and what was answered. */
function readOthers(reply: readonly unknown[], places: readonly number[]): readonly { readonly place: number; readonly answer: unknown }[] {
  const others: { place: number; answer: unknown }[] = []
  for (let at = 1; at + 1 < reply.length; at += 2) {
    const place = places[Number(reply[at]) - 1]
    if (place !== undefined) others.push({ place, answer: reply[at + 1] })
  }
  return others
}

function script(lua: string): Script {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') }
}
