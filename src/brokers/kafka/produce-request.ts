import type { Broker } from 'kafkajs'
import { byTopic } from './by-topic.ts'
import { assertVersion, at, type Exchange, listAt, withExchange } from './kafkajs-exchange.ts'

/** A record batch for one partition. */
export interface BatchToWrite {
  readonly topic: string
  readonly partition: number
  readonly batch: Buffer
}

/** What became of it: written where `error` is undefined. */
export interface BatchResult {
  readonly topic: string
  readonly partition: number
  readonly error: unknown
}

/** A broker of kafkajs that takes record batches as they are, and says of each what became of it. */
export interface ProduceBroker {
  produce(request: {
    readonly acks: number
    /** How long it may wait for its replicas, in ms. */
    readonly timeout: number
    readonly topicData: readonly BatchToWrite[]
  }): Promise<readonly BatchResult[]>
}

const PRODUCE = 0
/** The first with record batches, and the last that kafkajs speaks. */
const VERSIONS = { first: 3, last: 7 }

const known = new WeakMap<Broker, ProduceBroker>()

/** The same broker with its own writing. Throws where kafkajs is not the version this was written for. */
export function produceBroker(broker: Broker): ProduceBroker {
  let found = known.get(broker)
  if (found === undefined) {
    const derived = withExchange(broker, PRODUCE, withOwnWriting)
    if (!canProduce(derived)) throw new Error('kafkajs lacks produce requests: it is not the version this was written for')
    found = derived
    known.set(broker, found)
  }
  return found
}

function withOwnWriting(exchange: Exchange, asked: unknown): Exchange {
  assertVersion(exchange, 'records', VERSIONS.first, VERSIONS.last)
  const { request, response } = exchange
  const encode = async () => {
    const bytes = encodeRequest(asked)
    // What kafkajs asks of its encoders.
    return { buf: bytes, buffer: bytes }
  }
  return {
    request: Object.assign({}, request, { encode }),
    response: { decode: raw => response.decode(raw), parse: decoded => readResults(decoded, response) },
  }
}

/** The layout of all these versions: https://kafka.apache.org/protocol#The_Messages_Produce. */
function encodeRequest(request: unknown): Buffer {
  const topicData = at(request, 'topicData')
  const batches = Array.isArray(topicData) ? topicData.filter(isBatch) : []
  const topics = byTopic(batches)
  // No transaction.
  const parts = [int16(-1), int16(Number(at(request, 'acks'))), int32(Number(at(request, 'timeout'))), int32(topics.size)]
  for (const [topic, ofTopic] of topics) {
    const name = Buffer.from(topic)
    parts.push(int16(name.length), name, int32(ofTopic.length))
    for (const { partition, batch } of ofTopic) parts.push(int32(partition), int32(batch.length), batch)
  }
  return Buffer.concat(parts)
}

/** kafkajs says what an error's number means, of one partition at a time. */
async function readResults(decoded: unknown, response: Exchange['response']): Promise<readonly BatchResult[]> {
  const results: BatchResult[] = []
  for (const topic of listAt(decoded, 'topics')) {
    for (const partition of listAt(topic, 'partitions')) {
      const [name, number, code] = [at(topic, 'topicName'), at(partition, 'partition'), at(partition, 'errorCode')]
      if (typeof name !== 'string' || typeof number !== 'number' || typeof code !== 'number')
        throw new Error('kafkajs decodes what was written in another way: it is not the version this was written for')
      results.push({ topic: name, partition: number, error: code === 0 ? undefined : await errorOf(topic, partition, response) })
    }
  }
  return results
}

async function errorOf(topic: unknown, partition: unknown, response: Exchange['response']): Promise<unknown> {
  try {
    await response.parse({ topics: [Object.assign({}, topic, { partitions: [partition] })] })
  } catch (error) {
    return error
  }
  return new Error(`the broker refused the records with the error ${String(at(partition, 'errorCode'))}`)
}

function isBatch(value: unknown): value is BatchToWrite {
  return typeof at(value, 'topic') === 'string' && typeof at(value, 'partition') === 'number' && Buffer.isBuffer(at(value, 'batch'))
}

function canProduce(value: unknown): value is ProduceBroker {
  return typeof at(value, 'produce') === 'function'
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
