import { createHash } from 'node:crypto'
import { Redis } from 'ioredis'
import {
  type Claim,
  type ClaimAnswer,
  type Completion,
  type GroupedBackend,
  type Holding,
  type Renewal,
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
 * as one text of lines: hundreds of arguments cost both sides far more, and so does JSON. What comes back is how many were asked, then those whose answer is not
 * the common one: number of the question, answer.
 */
const scripts = {
  /** ARGV: the lease; a line for the key and one for what it holds while in progress of each. Commonly: claimed. */
  claim: script(`
    local call, lease, number, others = redis.call, ARGV[1], 0, { 0 }
    for key, mine in string.gmatch(ARGV[2], '([^\\n]*)\\n([^\\n]*)\\n') do
      number = number + 1
      local held = call('SET', key, mine, 'NX', 'GET', 'PX', lease)
      if held == mine then call('PEXPIRE', key, lease)
      elseif held then
        others[#others + 1] = number
        others[#others + 1] = string.sub(held, 1, 1) == 'c' and held or 0
      end
    end
    others[1] = number
    return others`),
  /** ARGV: the ttl; a line for the key, for what it holds while in progress, and for what once completed of each. Commonly: completed. */
  complete: script(`
    local call, ttl, number, others = redis.call, ARGV[1], 0, { 0 }
    for key, mine, completed in string.gmatch(ARGV[2], '([^\\n]*)\\n([^\\n]*)\\n([^\\n]*)\\n') do
      number = number + 1
      local held = call('GET', key)
      if not held or held == mine then call('SET', key, completed, 'PX', ttl)
      elseif string.sub(held, 1, 1) ~= 'c' then
        others[#others + 1] = number
        others[#others + 1] = 0
      end
    end
    others[1] = number
    return others`),
  /** ARGV: a line for the key and one for what it holds while in progress of each. */
  release: script(`
    local number = 0
    for key, mine in string.gmatch(ARGV[1], '([^\\n]*)\\n([^\\n]*)\\n') do
      number = number + 1
      if redis.call('GET', key) == mine then redis.call('DEL', key) end
    end
    return { number }`),
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

  claim(claims: readonly Claim[]): Promise<readonly ClaimAnswer[]> {
    return this.#claim(claims)
  }

  /** A claim that is there already is only prolonged. */
  async renew(renewals: readonly Renewal[]): Promise<readonly boolean[]> {
    return (await this.#claim(renewals)).map(answer => answer === 'claimed')
  }

  async complete(completions: readonly Completion[]): Promise<readonly boolean[]> {
    const answers = new Array<boolean>(completions.length).fill(true)
    const ask = async ({ ms, asked, places }: Shared<Completion>) => {
      let lines = ''
      for (const { scope, key, owner, check } of asked) lines += `${lineOf(scope, key)}p${owner}\nc${check}\n`
      const others = await this.#run(scripts.complete, asked.length, [String(ms), lines])
      for (const { place } of readOthers(others, places)) answers[place] = false
    }
    await Promise.all(sharing(completions, ({ ttlMs }) => ttlMs).map(ask))
    return answers
  }

  async release(holdings: readonly Holding[]): Promise<void> {
    await this.#run(scripts.release, holdings.length, [linesOf(holdings)])
  }

  async #claim(claims: readonly Leased[]): Promise<readonly ClaimAnswer[]> {
    const answers = new Array<ClaimAnswer>(claims.length).fill('claimed')
    const ask = async ({ ms, asked, places }: Shared<Leased>) => {
      const others = await this.#run(scripts.claim, asked.length, [String(ms), linesOf(asked)])
      for (const { place, answer } of readOthers(others, places))
        answers[place] = typeof answer === 'string' ? { check: answer.slice(1) } : 'busy'
    }
    await Promise.all(sharing(claims, ({ leaseMs }) => leaseMs).map(ask))
    return answers
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

type Leased = Holding & { readonly leaseMs: number }

/** What shares a lease or a ttl, and where it stands among all that was asked; undefined: it is all of it. */
interface Shared<Asked> {
  readonly ms: number
  readonly asked: readonly Asked[]
  readonly places: readonly number[] | undefined
}

/** Nearly always one group: leases are all the same, and routes mostly share one ttl. */
function sharing<Asked>(all: readonly Asked[], msOf: (one: Asked) => number): readonly Shared<Asked>[] {
  const [first] = all
  if (first === undefined) return []
  const ms = msOf(first)
  if (all.every(one => msOf(one) === ms)) return [{ ms, asked: all, places: undefined }]
  const kinds = [...new Set(all.map(msOf))]
  return kinds.map(ms => {
    const places = all.flatMap((one, place) => (msOf(one) === ms ? [place] : []))
    return { ms, asked: all.filter(one => msOf(one) === ms), places }
  })
}

function linesOf(holdings: readonly Holding[]): string {
  let lines = ''
  for (const { scope, key, owner } of holdings) lines += `${lineOf(scope, key)}p${owner}\n`
  return lines
}

/** The key as Redis has it, on a line of its own: what would end the line is written otherwise. */
function lineOf(scope: string, key: string): string {
  return `${keyPrefix}${escaped(scope)}${escaped(key)}\n`
}

function escaped(text: string): string {
  return unfit.test(text) ? text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n') : text
}

const unfit = /[\\\n]/

/** A script's answer: how many were asked, then pairs of a question's number, from 1, and what was answered. */
function readOthers(
  reply: readonly unknown[],
  places: readonly number[] | undefined,
): readonly { readonly place: number; readonly answer: unknown }[] {
  const others: { place: number; answer: unknown }[] = []
  for (let at = 1; at + 1 < reply.length; at += 2) {
    const index = Number(reply[at]) - 1
    const place = places === undefined ? index : places[index]
    if (place !== undefined) others.push({ place, answer: reply[at + 1] })
  }
  return others
}

function script(lua: string): Script {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') }
}
