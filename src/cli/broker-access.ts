import { type Broker, BrokerError, type BrokerErrorCode, type OutgoingRecord, type TopicPartition } from '../brokers/broker.ts'
import type { SourceRecord } from '../compiler/plan.ts'
import type { BrokerCall, WireRecord } from '../inspector/broker-api.ts'
import { type DevAccess, readDevFile } from './dev-file.ts'
import { CommandFailure } from './failure.ts'

type Asked = Pick<Broker, 'listTopics' | 'topicOffsets' | 'offsetsSince' | 'committedOffsets' | 'setOffsets' | 'produce'>

/** Offsets from `start` up to, not including, `end` of one partition. */
export interface Part extends TopicPartition {
  readonly start: number
  readonly end: number
}

/** A broker as commands use it: of router.yaml, or the one inside a running `router dev`. */
export interface BrokerAccess extends Asked {
  /** For people: its name in router.yaml, or `router dev`. */
  readonly name: string
  /** A name of router.yaml; undefined where one broker answers to every name. */
  readonly broker: string | undefined
  /** Makes a topic that does not exist, with as many partitions as another one. */
  ensureTopic(topic: string, like: string): Promise<void>
  /** Page by page: the next is read when `receive` is done with one. */
  read(part: Part, receive: (records: readonly SourceRecord[]) => Promise<void>): Promise<void>
  close(): Promise<void>
}

/** The running `router dev`, or the named broker of router.yaml (default: its `broker`). Rejects with CommandFailure, StartError or BrokerError. */
export async function openBrokerAccess(root: string, name: string | undefined): Promise<BrokerAccess> {
  const dev = name === undefined ? await openRunningDev(root) : undefined
  if (dev !== undefined) return dev
  const [{ openQuietBrokers }, { chosenBroker }] = await Promise.all([import('./quiet-brokers.ts'), import('./publish-to-broker.ts')])
  const { router, brokers } = await openQuietBrokers(root)
  try {
    const chosen = chosenBroker(router, name)
    const broker = brokers.get(chosen, router)
    await broker.connect()
    return direct(broker, () => brokers.close())
  } catch (error) {
    await brokers.close()
    throw error
  }
}

/** The broker inside the `router dev` that runs here; undefined where none does, or where it uses those of router.yaml. Rejects with CommandFailure or BrokerError. */
export async function openRunningDev(root: string): Promise<BrokerAccess | undefined> {
  const dev = readDevFile(root)
  if (dev === undefined) return undefined
  const access = devBroker(dev)
  return (await answers(access)) ? access : undefined
}

function direct(broker: Broker, close: () => Promise<void>): BrokerAccess {
  return {
    name: broker.name,
    broker: broker.name,
    listTopics: () => broker.listTopics(),
    topicOffsets: topic => broker.topicOffsets(topic),
    offsetsSince: (topic, timestamp) => broker.offsetsSince(topic, timestamp),
    committedOffsets: (group, topics) => broker.committedOffsets(group, topics),
    setOffsets: (group, offsets) => broker.setOffsets(group, offsets),
    produce: record => broker.produce(record),
    async ensureTopic(topic, like) {
      const partitions = (await broker.topicOffsets(like)).length
      await broker.createTopics([{ topic, partitions: Math.max(1, partitions) }])
    },
    async read(part, receive) {
      const { readPast } = await import('../testing/past-records.ts')
      const [unread] = await readPast({ broker, parts: [part] }, receive)
      if (unread !== undefined)
        throw new CommandFailure(
          2,
          `${part.topic}/${part.partition} was not given up to offset ${part.end}`,
          'an open transaction stands there',
        )
    },
    close,
  }
}

const devTimeoutMs = 15_000

/** Nobody listens any more, or somebody else has the port. */
class NoRouter extends Error {
  override readonly name = 'NoRouter'
}

async function answers(access: BrokerAccess): Promise<boolean> {
  try {
    await access.listTopics()
    return true
  } catch (error) {
    if (error instanceof NoRouter) return false
    throw error
  }
}

function devBroker(dev: DevAccess): BrokerAccess {
  const ask = async <T>(call: BrokerCall): Promise<T> => {
    const answer: { readonly answer: T } = await post(dev, call)
    return answer.answer
  }
  return {
    name: 'router dev',
    broker: undefined,
    listTopics: () => ask({ call: 'listTopics' }),
    topicOffsets: topic => ask({ call: 'topicOffsets', topic }),
    offsetsSince: (topic, timestamp) => ask({ call: 'offsetsSince', topic, timestamp }),
    committedOffsets: (group, topics) => ask({ call: 'committedOffsets', group, topics }),
    setOffsets: (group, offsets) => ask({ call: 'setOffsets', group, offsets }),
    produce: record => ask({ call: 'produce', record: toWire(record) }),
    // Writing makes it.
    ensureTopic: async () => {},
    async read({ end, ...part }, receive) {
      for (let start = part.start; start < end; ) {
        const page: { readonly records: readonly Required<WireRecord>[]; readonly next: number } = await ask({
          call: 'read',
          ...part,
          start,
          end,
        })
        await receive(page.records.map(fromWire))
        if (page.next <= start) throw new CommandFailure(2, `${part.topic}/${part.partition} was not given up to offset ${end}`)
        start = page.next
      }
    },
    close: async () => {},
  }
}

async function post<T>({ url, token }: DevAccess, call: BrokerCall): Promise<T> {
  let response: Response
  try {
    response = await fetch(new URL('/api/broker', url), {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify(call),
      signal: AbortSignal.timeout(devTimeoutMs),
    })
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined
    if (cause instanceof Error && 'code' in cause && cause.code === 'ECONNREFUSED') throw new NoRouter('nobody listens', { cause: error })
    throw new CommandFailure(2, `the router at ${url} does not answer`, 'stop `router dev` and start it again', error)
  }
  const text = await response.text()
  if (response.ok) return JSON.parse(text)
  // 409: it uses the brokers of router.yaml, which are asked themselves.
  if ([401, 404, 409].includes(response.status)) throw new NoRouter(text)
  throw refusalOf(text)
}

function refusalOf(text: string): Error {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return new CommandFailure(2, `the router did not take it: ${text}`)
  }
  if (typeof body !== 'object' || body === null || !('error' in body)) return new CommandFailure(2, `the router did not take it: ${text}`)
  const code = 'code' in body && isCode(body.code) ? body.code : undefined
  if (code === undefined) return new CommandFailure(2, `the router did not take it: ${String(body.error)}`)
  return new BrokerError(code, String(body.error), { retriable: 'retriable' in body && body.retriable === true })
}

const refusalCodes: readonly unknown[] = [
  'group-active',
  'record-too-large',
  'invalid-record',
  'invalid-topic',
  'unknown-topic',
  'failed',
] satisfies readonly BrokerErrorCode[]

function isCode(value: unknown): value is BrokerErrorCode {
  return refusalCodes.includes(value)
}

function toWire({ topic, key, value, headers, partition }: OutgoingRecord): WireRecord {
  const encode = (bytes: Buffer) => bytes.toString('base64')
  return {
    topic,
    key: key === null ? null : encode(key),
    value: value === null ? null : encode(value),
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, bytes]) => [name, Buffer.isBuffer(bytes) ? encode(bytes) : bytes.map(encode)]),
    ),
    ...(partition === undefined ? {} : { partition }),
  }
}

function fromWire({ key, value, headers, ...place }: Required<WireRecord>): SourceRecord {
  const decode = (text: string) => Buffer.from(text, 'base64')
  return {
    ...place,
    key: key === null ? null : decode(key),
    value: value === null ? null : decode(value),
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, text]) => [name, typeof text === 'string' ? decode(text) : text.map(decode)]),
    ),
  }
}
