import { join } from 'node:path'
import type kafkajs from 'kafkajs'
import { expect, onTestFinished } from 'vitest'
import { createTopics } from '../kafka/create-topics.mjs'
import { uniqueName } from '../kafka/kafka-address.ts'
import { kafkaClient } from '../kafka/kafka-client.ts'
import { makeProject, type TestProject } from '../support/project.ts'
import { freePort, RouterProcess, whenReady } from '../support/router-process.ts'
import { type Account, account, figures } from './account.ts'
import { readDeadLetters } from './dead-letters.ts'
import { HandlerLog, loggingHandler } from './handler-log.ts'
import { emitting, outputsOf, readOutputs } from './outputs.ts'
import { patienceMs } from './scale.ts'
import { Sender, type SenderOptions, type Sent } from './sender.ts'
import { endOf } from './topic-reader.ts'

export interface SubjectOptions {
  /** `host:port`, several with commas. */
  readonly address: string
  readonly partitions?: number
  /** The body of the handler, see `loggingHandler`. */
  readonly work?: string
  /** Lines of router.yaml, beside what every subject has. */
  readonly router?: string
  /** Lines of the route file, beside `topics` and `routes`. */
  readonly file?: string
  /** Lines of the route that calls the handler. */
  readonly route?: string
  /** The route emits before its handler, too. */
  readonly begins?: boolean
  readonly files?: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
}

/** A project with one route that calls a logging handler and emits an output, and everything a fault needs to look at. */
export interface Subject {
  readonly topic: string
  readonly group: string
  readonly project: TestProject
  readonly log: HandlerLog
  readonly admin: kafkajs.Admin
  readonly kafka: kafkajs.Kafka
  /** With a `lead` it never has more messages than that which are not handled yet. */
  sender(options?: Partial<Pick<SenderOptions, 'keys' | 'content'>> & { readonly lead?: number }): Sender
  /** Starts a router on the project and waits until it has joined. */
  start(): Promise<RunningSubject>
  /** Waits until every one of these that is to be done has been handled. */
  untilHandled(messages: readonly Sent[]): Promise<void>
  /** Waits until the committed offsets have passed everything. */
  untilCommitted(): Promise<void>
  committed(): Promise<ReadonlyMap<number, number>>
  /** Accounts for everything that was sent, prints the figures, and refuses what is lost or did not end as it should. */
  account(name: string, sender: Sender): Promise<Account>
}

export interface RunningSubject {
  readonly router: RouterProcess
  readonly port: number
  metrics(): Promise<string>
}

/** What the account expects of a route: its actions, and a condition that filters. */
export function routeBody(topic: string, begins = false): string {
  return `    when: { data.skip: { exists: false } }
    actions:
${begins ? emitting(topic, 'begun') : ''}      - invoke: ../handlers/log.ts
${emitting(topic, 'done')}`
}

function routeFile(topic: string, { file = '', route = '', begins }: SubjectOptions): string {
  return `topics: ${topic}
from: earliest
${file}routes:
  step:
    event: step
${route}${routeBody(topic, begins)}`
}

export async function makeSubject(options: SubjectOptions): Promise<Subject> {
  const { address, partitions = 6 } = options
  const topic = uniqueName('fault')
  const kafka = kafkaClient(address.split(','))
  const admin = kafka.admin()
  await admin.connect()
  onTestFinished(() => admin.disconnect())
  const topics = [topic, outputsOf(topic)].map(each => ({ topic: each, numPartitions: partitions }))
  await createTopics(admin, topics)
  const name = uniqueName('app')
  const project = await makeProject({
    'router.yaml': `name: ${name}
broker: kafka
brokers:
  kafka: { type: kafka, brokers: "${address}", consumer: { session.timeout.ms: 6000, heartbeat.interval.ms: 500 } }
server: { host: 127.0.0.1, port: "\${PORT}", apps: [{ id: shop, key: shop-key, secret: not-a-secret }] }
${options.router ?? ''}`,
    'routes/steps.yaml': routeFile(topic, options),
    'handlers/log.ts': loggingHandler(options.work),
    ...options.files,
  })
  const log = new HandlerLog(join(project.root, 'ledger.jsonl'))
  const group = `${name}.steps`
  const committed = async () => {
    const [offsets] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    return new Map((offsets?.partitions ?? []).map(({ partition, offset }) => [partition, Number(offset)]))
  }
  const uncommitted = async () => {
    const passed = [...(await committed()).values()].reduce((sum, offset) => sum + Math.max(offset, 0), 0)
    return (await endOf({ admin }, topic)) - passed
  }
  const subject: Subject = {
    topic,
    group,
    project,
    log,
    admin,
    kafka,
    sender: ({ lead, ...sending } = {}) => {
      const handled = async () => (await log.read()).handled.size
      return new Sender({ address, topic, keys: 50, ...sending, ...(lead === undefined ? {} : { lead: { most: lead, handled } }) })
    },
    async start() {
      const port = await freePort()
      const env = { LEDGER: log.file, PORT: String(port), ...options.env }
      const router = new RouterProcess(['run', '--project', project.root], { cwd: project.root, env })
      await Promise.race([whenReady(port), router.line('this line never comes')])
      return { router, port, metrics: async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text() }
    },
    async untilHandled(messages) {
      const open = new Set(messages.filter(({ fate }) => fate === 'done').map(({ id }) => id))
      const stillOpen = async () => {
        const { handled } = await log.read()
        for (const id of open) if (handled.has(id)) open.delete(id)
        return open.size
      }
      await expect.poll(stillOpen, { timeout: patienceMs, interval: 100 }).toBe(0)
    },
    async untilCommitted() {
      await expect.poll(uncommitted, { timeout: patienceMs, interval: 200 }).toBe(0)
    },
    committed,
    async account(name, sender) {
      const result = account({
        sent: sender.acknowledged,
        handlings: (await log.read()).handlings,
        letters: await readDeadLetters(subject),
        outputs: await readOutputs(subject),
        begins: options.begins ?? false,
        uncommitted: await uncommitted(),
      })
      console.info(`${name}: ${figures(result)}`)
      const { lost, wrong, acknowledged, done, deadLettered, filtered } = result
      expect({ lost, wrong }).toEqual({ lost: [], wrong: [] })
      expect(done + deadLettered + filtered).toBe(acknowledged)
      return result
    },
  }
  return subject
}

/** How often a router said that its group was rebalancing. */
export function rebalances({ router }: RunningSubject): number {
  return router.lines.filter(line => line.includes('"msg":"rebalancing"')).length
}
