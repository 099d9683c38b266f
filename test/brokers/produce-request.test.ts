import { createRequire } from 'node:module'
import { describe, expect, test } from 'vitest'
import { type BatchResult, type BatchToWrite, produceBroker } from '../../src/brokers/kafka/produce-request.ts'

const load = createRequire(import.meta.url)
const Broker = load('kafkajs/src/broker')
const Encoder = load('kafkajs/src/protocol/encoder')

interface Sent {
  readonly request: { encode(): Promise<{ readonly buffer: Buffer }> }
  readonly response: { decode(raw: Buffer): Promise<unknown>; parse(decoded: unknown): Promise<unknown> }
}

/** What a broker says of topic `orders`: partition 0 is written, partition 1 was too large, partition 2 has moved to another broker. */
function answerBytes(version: number): Buffer {
  const partitions = [0, 10, 6].map((errorCode, partition) => {
    const bytes = new Encoder().writeInt32(partition).writeInt16(errorCode).writeInt64(7).writeInt64(-1)
    return version >= 5 ? bytes.writeInt64(0) : bytes
  })
  return new Encoder().writeArray([new Encoder().writeString('orders').writeArray(partitions)]).writeInt32(0).buffer
}

/** kafkajs's own broker on a connection that keeps what is sent and gives that answer. */
async function produceIn(version: number, batches: readonly BatchToWrite[]): Promise<{ results: readonly BatchResult[]; sent: Buffer }> {
  let sent: Buffer = Buffer.alloc(0)
  const connectionPool = {
    send: async ({ request, response }: Sent) => {
      sent = (await request.encode()).buffer
      return response.parse(await response.decode(answerBytes(version)))
    },
  }
  const broker = new Broker({ connectionPool, logger: { namespace: () => ({}) } })
  broker.lookupRequest = (_: number, { protocol }: { protocol(options: { version: number }): unknown }) => protocol({ version })
  const results = await produceBroker(broker).produce({ acks: -1, timeout: 30_000, topicData: batches })
  return { results, sent }
}

describe('a request to write', () => {
  test.each([3, 5, 7])('in version %i says of each partition what became of its records', async version => {
    const { results } = await produceIn(version, [])
    expect(results).toEqual([
      { topic: 'orders', partition: 0, error: undefined },
      { topic: 'orders', partition: 1, error: expect.objectContaining({ type: 'MESSAGE_TOO_LARGE', retriable: false }) },
      { topic: 'orders', partition: 2, error: expect.objectContaining({ type: 'NOT_LEADER_FOR_PARTITION', retriable: true }) },
    ])
  })

  test('has the batches as they are, below their topics', async () => {
    const batches = [
      { topic: 'orders', partition: 2, batch: Buffer.from('first') },
      { topic: 'audit', partition: 0, batch: Buffer.from('second') },
      { topic: 'orders', partition: 1, batch: Buffer.from('third') },
    ]
    const expected = new Encoder()
      .writeString(null)
      .writeInt16(-1)
      .writeInt32(30_000)
      .writeArray([
        new Encoder()
          .writeString('orders')
          .writeArray([
            new Encoder().writeInt32(2).writeBytes(Buffer.from('first')),
            new Encoder().writeInt32(1).writeBytes(Buffer.from('third')),
          ]),
        new Encoder().writeString('audit').writeArray([new Encoder().writeInt32(0).writeBytes(Buffer.from('second'))]),
      ])
    expect((await produceIn(7, batches)).sent).toEqual(expected.buffer)
  })

  test('a broker of before record batches is refused in words', async () => {
    await expect(produceIn(2, [])).rejects.toThrow('Kafka 0.11 or newer is needed')
  })
})
