import kafkajs from 'kafkajs'
import { createTopics } from '../kafka/create-topics.mjs'
import { kafkaClient } from '../kafka/kafka-client.ts'

export interface Sent {
  readonly key?: string
  readonly value: string | null
}

/** What other programs do with Kafka: make topics, write to them, look at groups. */
export class Topics {
  readonly #kafka = kafkaClient()
  readonly #producer = this.#kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
  readonly #admin = this.#kafka.admin()

  /** One partition each, so that offsets count messages. */
  async create(...topics: readonly string[]): Promise<void> {
    await Promise.all([this.#producer.connect(), this.#admin.connect()])
    await createTopics(
      this.#admin,
      topics.map(topic => ({ topic, numPartitions: 1 })),
    )
  }

  async send(topic: string, ...messages: readonly Sent[]): Promise<void> {
    await this.#producer.send({ topic, messages: messages.map(({ key = null, value }) => ({ key, value })) })
  }

  /** `{ id, event, data }` each. */
  async sendEvents(
    topic: string,
    ...events: readonly { readonly event?: string; readonly data: unknown; readonly key?: string }[]
  ): Promise<void> {
    const messages = events.map(({ key, ...event }, index) => ({
      ...(key === undefined ? {} : { key }),
      value: JSON.stringify({ id: `${index + 1}`, ...event }),
    }))
    await this.send(topic, ...messages)
  }

  async committed(group: string, topic: string): Promise<number> {
    const [found] = await this.#admin.fetchOffsets({ groupId: group, topics: [topic] })
    return Number(found?.partitions[0]?.offset ?? -1)
  }

  /** Values from the start of the topic, once there are `count`. */
  async read(topic: string, count: number): Promise<readonly string[]> {
    const consumer = this.#kafka.consumer({ groupId: `${topic}.reader` })
    await consumer.connect()
    try {
      await consumer.subscribe({ topics: [topic], fromBeginning: true })
      const values: string[] = []
      await new Promise<void>((resolve, reject) => {
        const eachMessage = async ({ message }: kafkajs.EachMessagePayload) => {
          values.push(String(message.value))
          if (values.length >= count) resolve()
        }
        consumer.run({ eachMessage }).catch(reject)
      })
      return values
    } finally {
      await consumer.disconnect()
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#producer.disconnect(), this.#admin.disconnect()])
  }
}
