import type { Broker } from '../brokers/broker.ts'
import type { SourceRecord, SubscriptionPlan } from '../compiler/plan.ts'
import { countMessages, type PastRange, type PastReading, planReading, readPast } from '../testing/past-records.ts'
import { type BrokerAccess, openRunningDev } from './broker-access.ts'
import { existingTopics, findPastTopics } from './past-topics.ts'
import { openQuietBrokers } from './quiet-brokers.ts'

export interface PastRequest {
  readonly root: string
  readonly subscriptions: readonly SubscriptionPlan[]
  /** Only this topic. */
  readonly topic: string | undefined
  /** All topics are read from this broker of router.yaml, whatever the files say. */
  readonly broker: string | undefined
  readonly range: PastRange
}

/** Messages that a broker still has, of topics that the subscriptions read. */
export interface PastMessages {
  readonly topics: readonly string[]
  /** What had to be left out, a sentence each. */
  readonly notes: readonly string[]
  readonly count: number
  /** `broker`: its name in router.yaml; undefined where one answers to every name. Resolves with what the broker did not give, a sentence each. */
  read(onRecord: (broker: string | undefined, record: SourceRecord) => void): Promise<readonly string[]>
  close(): Promise<void>
}

/** Of the running `router dev`, or of the brokers in router.yaml. Rejects with StartError, BrokerError or CommandFailure. */
export async function openPastMessages(request: PastRequest): Promise<PastMessages> {
  const dev = request.broker === undefined ? await openRunningDev(request.root) : undefined
  return dev === undefined ? ofBrokers(request) : ofDev(dev, request)
}

async function ofDev(dev: BrokerAccess, { subscriptions, topic, range }: PastRequest): Promise<PastMessages> {
  const { topics, notes } = await existingTopics({ broker: dev, where: '`router dev`' }, subscriptions, topic)
  const readings = await planReading(
    topics.map(name => ({ broker: dev, topic: name })),
    range,
  )
  return {
    topics,
    notes,
    count: countMessages(readings),
    async read(onRecord) {
      for (const part of readings.flatMap(({ parts }) => parts))
        await dev.read(part, async records => {
          for (const record of records) onRecord(undefined, record)
        })
      return []
    },
    close: () => dev.close(),
  }
}

async function ofBrokers({ root, range, ...request }: PastRequest): Promise<PastMessages> {
  const { router, brokers } = await openQuietBrokers(root)
  try {
    const { topics, notes } = await findPastTopics({ ...request, router, brokers })
    const readings = await planReading(topics, range)
    return {
      topics: [...new Set(topics.map(({ topic }) => topic))],
      notes,
      count: countMessages(readings),
      read: onRecord => readAll(readings, request.broker === undefined, onRecord),
      close: () => brokers.close(),
    }
  } catch (error) {
    await brokers.close()
    throw error
  }
}

async function readAll(
  readings: readonly PastReading<Broker>[],
  namesBrokers: boolean,
  onRecord: (broker: string | undefined, record: SourceRecord) => void,
): Promise<readonly string[]> {
  const unread: string[] = []
  for (const reading of readings) {
    const name = namesBrokers ? reading.broker.name : undefined
    const rest = await readPast(reading, records => {
      for (const record of records) onRecord(name, record)
      return undefined
    })
    unread.push(...rest.map(({ topic, partition, end }) => `${topic}/${partition} was not given up to offset ${end}`))
  }
  return unread
}
