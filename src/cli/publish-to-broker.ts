import type { Broker } from '../brokers/broker.ts'
import { didYouMean } from '../config/did-you-mean.ts'
import type { RouterConfig } from '../config/router-config.ts'
import { eventRecord, rawRecord } from '../runtime/broker-set.ts'
import { CommandFailure } from './failure.ts'
import { openQuietBrokers } from './quiet-brokers.ts'

/** What `router publish` sends. `raw`: the record's whole value. */
export type PublishedRecord =
  | {
      readonly kind: 'event'
      readonly topic: string
      readonly key?: string
      readonly event: string
      readonly id: string
      readonly data: unknown
    }
  | { readonly kind: 'raw'; readonly topic: string; readonly key?: string; readonly raw: Buffer }

/** Of the whole: a topic that has to be made first takes Kafka a moment. */
const timeoutMs = 30_000

/** Writes one record to a broker of router.yaml; returns the broker's name. Rejects with StartError, CommandFailure or BrokerError. */
export async function publishToBroker(root: string, name: string | undefined, record: PublishedRecord): Promise<string> {
  const { router, brokers } = await openQuietBrokers(root)
  try {
    const broker = chosenBroker(router, name)
    await withTimeout(broker, write(brokers.get(broker, router), record))
    return broker
  } finally {
    await brokers.close()
  }
}

/** Connects first: an address where nobody answers is told at once instead of after all retries. */
async function write(broker: Broker, record: PublishedRecord): Promise<void> {
  await broker.connect()
  await broker.produce(record.kind === 'raw' ? rawRecord(record) : eventRecord(record))
}

/** Throws for a broker that another process cannot reach, or that router.yaml does not define. */
export function chosenBroker({ broker: usual, brokers }: RouterConfig, asked: string | undefined): string {
  const name = asked ?? usual
  const known = Object.keys(brokers)
  if (!Object.hasOwn(brokers, name)) {
    const meant = didYouMean(name, known)
    throw new CommandFailure(
      2,
      `router.yaml defines no broker ${name}`,
      meant === undefined ? `it defines ${known.join(', ')}` : `did you mean ${meant}?`,
    )
  }
  if (brokers[name]?.type !== 'memory') return name
  if (asked === undefined)
    throw new CommandFailure(2, 'no router is running here', 'start `router dev` in another terminal, or name a broker with --broker')
  throw new CommandFailure(2, `the broker ${name} lives inside the router`, 'start `router dev` in another terminal and leave --broker out')
}

async function withTimeout(broker: string, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new CommandFailure(2, `the broker ${broker} did not answer within ${timeoutMs / 1000} s`)), timeoutMs)
  })
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
