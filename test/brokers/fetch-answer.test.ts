import { createRequire } from 'node:module'
import { deflateRawSync } from 'node:zlib'
import kafkajs from 'kafkajs'
import { beforeAll, describe, expect, test } from 'vitest'
import { registerCodecs } from '../../src/brokers/kafka/codecs.ts'
import { type FetchAnswer, fetchBroker } from '../../src/brokers/kafka/fetch-answer.ts'
import { readPartition } from '../../src/brokers/kafka/fetched-records.ts'
import { encodeBatch } from './record-batches.ts'

const load = createRequire(import.meta.url)
const Broker = load('kafkajs/src/broker')
const Encoder = load('kafkajs/src/protocol/encoder')
const Message = load('kafkajs/src/protocol/message')

/** What a broker would send, one topic with one partition, in the layout of a version. */
function answerBytes(version: number, set: Buffer): Buffer {
  const partition = new Encoder().writeInt32(4).writeInt16(0).writeInt64(77).writeInt64(77)
  if (version >= 5) partition.writeInt64(0)
  partition.writeInt32(1).writeInt64(9).writeInt64(2)
  if (version >= 11) partition.writeInt32(-1)
  partition.writeBytes(set)
  const answer = new Encoder().writeInt32(12)
  if (version >= 7) answer.writeInt16(0).writeInt32(0)
  return answer.writeArray([new Encoder().writeString('orders').writeArray([partition])]).buffer
}

/** kafkajs's own broker on a connection that answers with these bytes. */
function fetchFrom(version: number, raw: Buffer): Promise<FetchAnswer> {
  const connectionPool = {
    send: async ({ response }: { response: { decode(raw: Buffer): Promise<unknown>; parse(decoded: unknown): Promise<unknown> } }) =>
      response.parse(await response.decode(raw)),
  }
  const broker = new Broker({ connectionPool, logger: { namespace: () => ({}) } })
  broker.lookupRequest = (_: number, { protocol }: { protocol(options: { version: number }): unknown }) => protocol({ version })
  return fetchBroker(broker).fetch({ maxWaitTime: 1, minBytes: 1, maxBytes: 1, isolationLevel: 1, topics: [] })
}

function recordsOf({ responses }: FetchAnswer) {
  return responses.flatMap(({ topicName, partitions }) =>
    partitions.flatMap(partition => [...readPartition(topicName, 0, partition).records]),
  )
}

describe('the answer to a fetch', () => {
  beforeAll(registerCodecs)

  test.each([4, 5, 7, 10, 11])('is read in version %i', async version => {
    const set = await encodeBatch({ baseOffset: 2, lastOffset: 2, records: [{ offset: 2, value: Buffer.from('two') }] })
    const answer = await fetchFrom(version, answerBytes(version, set))
    expect(answer).toMatchObject({
      clientSideThrottleTime: 12,
      responses: [
        { topicName: 'orders', partitions: [{ partition: 4, highWatermark: 77, aborted: [{ producerId: 9n, firstOffset: 2 }] }] },
      ],
    })
    expect(recordsOf(answer)).toMatchObject([{ topic: 'orders', partition: 4, offset: 2, value: Buffer.from('two') }])
  })

  test('a broker of before record batches is refused in words', async () => {
    await expect(fetchFrom(3, Buffer.alloc(0))).rejects.toThrow('Kafka 0.11 or newer is needed')
  })

  test.each([kafkajs.CompressionTypes.GZIP, kafkajs.CompressionTypes.Snappy, kafkajs.CompressionTypes.LZ4])(
    'is decompressed (codec %i)',
    async compression => {
      const value = Buffer.from('again and again '.repeat(50))
      const set = await encodeBatch({ baseOffset: 0, lastOffset: 0, compression, records: [{ offset: 0, value }] })
      expect(recordsOf(await fetchFrom(11, answerBytes(11, set)))).toMatchObject([{ value }])
    },
  )

  test('bytes that do not decompress are an error', async () => {
    const set = await encodeBatch({
      baseOffset: 0,
      lastOffset: 0,
      compression: kafkajs.CompressionTypes.GZIP,
      records: [{ offset: 0, value: Buffer.from('x') }],
    })
    deflateRawSync('not this').copy(set, 61)
    await expect(fetchFrom(11, answerBytes(11, set))).rejects.toThrow()
  })

  test('records in a format of before Kafka 0.11 are read by kafkajs', async () => {
    const message = Message({ version: 1 })({ key: 'k', value: 'old', timestamp: 1_500_000_000_000 })
    const set = new Encoder().writeInt64(6).writeInt32(message.size()).writeEncoder(message).buffer
    const found = recordsOf(await fetchFrom(11, answerBytes(11, set)))
    expect(found).toMatchObject([
      { offset: 6, timestamp: 1_500_000_000_000, key: Buffer.from('k'), value: Buffer.from('old'), headers: {} },
    ])
  })
})
