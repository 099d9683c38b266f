import kafkajs, { type Broker } from 'kafkajs'
import { assertVersion, at, type Exchange, withExchange } from './kafkajs-exchange.ts'
import { CorruptBatchError, isOldFormat, type RecordBatch, readInt64, splitBatches } from './record-batch.ts'

/** A record in the formats of before Kafka 0.11, as kafkajs decodes it; 64-bit numbers are text. */
export interface OldRecord {
  readonly offset: string
  /** Absent in the oldest format. */
  readonly timestamp?: string
  readonly attributes: number
  readonly key: Buffer | null
  readonly value: Buffer | null
}

/** One partition of the answer to a fetch. */
export interface FetchedPartition {
  readonly partition: number
  readonly errorCode: number
  readonly highWatermark: number
  /** Transactions that were taken back, some of whose records may be in `batches`. Empty when uncommitted records are asked for. */
  readonly aborted: readonly { readonly producerId: bigint; readonly firstOffset: number }[]
  /** Decompressed. */
  readonly batches: readonly RecordBatch[]
  readonly old: readonly OldRecord[]
}

export interface FetchAnswer {
  readonly responses: readonly { readonly topicName: string; readonly partitions: readonly FetchedPartition[] }[]
  /** kafkajs waits that long before its next request to the broker, in ms. */
  readonly clientSideThrottleTime: number
}

interface FetchRequest {
  readonly maxWaitTime: number
  readonly minBytes: number
  readonly maxBytes: number
  readonly isolationLevel: number
  readonly topics: readonly {
    readonly topic: string
    readonly partitions: readonly { readonly partition: number; readonly fetchOffset: string; readonly maxBytes: number }[]
  }[]
}

/** A broker of kafkajs whose fetches are answered as above. */
export interface FetchBroker {
  fetch(request: FetchRequest): Promise<FetchAnswer>
}

const FETCH = 1
/** The first with record batches, and the last that kafkajs asks for. */
const VERSIONS = { first: 4, last: 11 }

const known = new WeakMap<Broker, FetchBroker>()

/**
 * The same broker with its own reading of what it fetched: kafkajs goes on writing the requests, keeping the connection and checking errors.
 * Throws where kafkajs is not the version this was written for.
 */
export function fetchBroker(broker: Broker): FetchBroker {
  let found = known.get(broker)
  if (found === undefined) {
    const derived = withExchange(broker, FETCH, withOwnReading)
    if (!canFetch(derived)) throw new Error('kafkajs lacks fetch requests: it is not the version this was written for')
    found = derived
    known.set(broker, found)
  }
  return found
}

function withOwnReading(exchange: Exchange): Exchange {
  assertVersion(exchange, 'fetches', VERSIONS.first, VERSIONS.last)
  const { request, response } = exchange
  return { ...exchange, response: { decode: raw => decode(raw, request.apiVersion, response), parse: decoded => response.parse(decoded) } }
}

/** The layout by version: https://kafka.apache.org/protocol#The_Messages_Fetch. */
async function decode(raw: Buffer, version: number, kafkajsResponse: Exchange['response']): Promise<FetchAnswer> {
  const reader = new AnswerReader(raw)
  const clientSideThrottleTime = reader.int32()
  // Error code and session: kafkajs asks for no session.
  if (version >= 7) reader.at += 6
  const sets: Buffer[] = []
  const responses = reader.list(() => ({
    topicName: reader.text(),
    partitions: reader.list(() => readPartition(reader, version, sets)),
  }))
  const answer = { responses, clientSideThrottleTime }
  if (sets.some(isOldFormat)) return withOldRecords(answer, await kafkajsResponse.decode(raw))
  const isCompressed = responses.some(({ partitions }) => partitions.some(({ batches }) => batches.some(({ codec }) => codec !== 0)))
  return isCompressed ? decompressed(answer) : answer
}

function readPartition(reader: AnswerReader, version: number, sets: Buffer[]): FetchedPartition {
  const partition = reader.int32()
  const errorCode = reader.int16()
  const highWatermark = reader.int64()
  // The last stable offset, and the start of the log.
  reader.at += version >= 5 ? 16 : 8
  const aborted = reader.list(() => ({ producerId: reader.bigInt64(), firstOffset: reader.int64() }))
  if (version >= 11) reader.at += 4
  const set = reader.bytes()
  sets.push(set)
  return { partition, errorCode, highWatermark, aborted, batches: isOldFormat(set) ? [] : splitBatches(set), old: [] }
}

async function decompressed({ responses, clientSideThrottleTime }: FetchAnswer): Promise<FetchAnswer> {
  const topics = responses.map(async ({ topicName, partitions }) => ({
    topicName,
    partitions: await Promise.all(
      partitions.map(async partition => ({ ...partition, batches: await Promise.all(partition.batches.map(decompress)) })),
    ),
  }))
  return { responses: await Promise.all(topics), clientSideThrottleTime }
}

async function decompress(batch: RecordBatch): Promise<RecordBatch> {
  if (batch.codec === 0 || batch.records.length === 0) return batch
  const codec = codecOf(batch.codec)
  if (codec === undefined) throw new CorruptBatchError(`the batch at offset ${batch.baseOffset} has the unknown compression ${batch.codec}`)
  return { ...batch, codec: 0, records: await codec.decompress(batch.records) }
}

function codecOf(type: number): { decompress(bytes: Buffer): Promise<Buffer> } | undefined {
  const { CompressionCodecs: codecs, CompressionTypes: types } = kafkajs
  switch (type) {
    case types.GZIP:
      return codecs[types.GZIP]()
    case types.Snappy:
      return codecs[types.Snappy]()
    case types.LZ4:
      return codecs[types.LZ4]()
    case types.ZSTD:
      return codecs[types.ZSTD]()
    default:
      return undefined
  }
}

/** Both lists are of the same answer, in the same order. */
function withOldRecords(answer: FetchAnswer, decoded: unknown): Promise<FetchAnswer> {
  const responses = answer.responses.map(({ topicName, partitions }, topic) => ({
    topicName,
    partitions: partitions.map((partition, index) =>
      partition.batches.length > 0 ? partition : { ...partition, old: oldRecords(decoded, topic, index) },
    ),
  }))
  return decompressed({ ...answer, responses })
}

function oldRecords(decoded: unknown, topic: number, partition: number): readonly OldRecord[] {
  const messages = at(at(at(at(at(decoded, 'responses'), topic), 'partitions'), partition), 'messages')
  if (!Array.isArray(messages) || !messages.every(isOldRecord))
    throw new Error('kafkajs decodes records in another way: it is not the version this was written for')
  return messages
}

function isOldRecord(value: unknown): value is OldRecord {
  return (
    typeof at(value, 'offset') === 'string' &&
    typeof at(value, 'attributes') === 'number' &&
    isBytes(at(value, 'key')) &&
    isBytes(at(value, 'value'))
  )
}

function isBytes(value: unknown): boolean {
  return value === null || Buffer.isBuffer(value)
}

function canFetch(value: unknown): value is FetchBroker {
  return typeof at(value, 'fetch') === 'function'
}

class AnswerReader {
  at = 0
  readonly #bytes: Buffer

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  int16(): number {
    this.at += 2
    return this.#bytes.readInt16BE(this.at - 2)
  }

  int32(): number {
    this.at += 4
    return this.#bytes.readInt32BE(this.at - 4)
  }

  int64(): number {
    this.at += 8
    return readInt64(this.#bytes, this.at - 8)
  }

  bigInt64(): bigint {
    this.at += 8
    return this.#bytes.readBigInt64BE(this.at - 8)
  }

  text(): string {
    const length = this.int16()
    this.at += length
    return this.#bytes.toString('utf8', this.at - length, this.at)
  }

  /** Null is empty. */
  bytes(): Buffer {
    const length = Math.max(this.int32(), 0)
    this.at += length
    return this.#bytes.subarray(this.at - length, this.at)
  }

  /** Null is empty. */
  list<T>(readElement: () => T): readonly T[] {
    return Array.from({ length: Math.max(this.int32(), 0) }, readElement)
  }
}
