import { join } from 'node:path'
import type kafkajs from 'kafkajs'
import { expect, onTestFinished } from 'vitest'
import { uniqueName } from '../kafka/kafka-address.ts'
import { kafkaClient } from '../kafka/kafka-client.ts'
import { makeProject, type TestProject } from '../support/project.ts'
import { freePort, RouterProcess, whenReady } from '../support/router-process.ts'
import { HandlerLog, loggingHandler } from './handler-log.ts'
import { Sender, type SenderOptions } from './sender.ts'

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
  readonly files?: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
}

/** A project with one route that calls a logging handler, and everything a fault needs to look at. */
export interface Subject {
  readonly topic: string
  readonly group: string
  readonly project: TestProject
  readonly log: HandlerLog
  readonly admin: kafkajs.Admin
  readonly kafka: kafkajs.Kafka
  sender(options?: Pick<SenderOptions, 'keys' | 'value'>): Sender
  /** Starts a router on the project and waits until it has joined. */
  start(): Promise<RunningSubject>
  /** Waits until every one of these has been handled. */
  untilHandled(ids: Iterable<string>, timeoutMs: number): Promise<void>
  committed(): Promise<ReadonlyMap<number, number>>
}

export interface RunningSubject {
  readonly router: RouterProcess
  readonly port: number
  metrics(): Promise<string>
}

function routeFile(topic: string, { file = '', route = '' }: Pick<SubjectOptions, 'file' | 'route'> = {}): string {
  return `topics: ${topic}
from: earliest
${file}routes:
  step:
    event: step
${route}    actions:
      - invoke: ../handlers/log.ts
`
}

export async function makeSubject(options: SubjectOptions): Promise<Subject> {
  const { address, partitions = 6 } = options
  const topic = uniqueName('fault')
  const kafka = kafkaClient(address.split(','))
  const admin = kafka.admin()
  await admin.connect()
  onTestFinished(() => admin.disconnect())
  await admin.createTopics({ topics: [{ topic, numPartitions: partitions }], waitForLeaders: true })
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
  return {
    topic,
    group,
    project,
    log,
    admin,
    kafka,
    sender: sending => new Sender({ address, topic, keys: 50, ...sending }),
    async start() {
      const port = await freePort()
      const env = { LEDGER: log.file, PORT: String(port), ...options.env }
      const router = new RouterProcess(['run', '--project', project.root], { cwd: project.root, env })
      await Promise.race([whenReady(port), router.line('this line never comes')])
      return { router, port, metrics: async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text() }
    },
    async untilHandled(ids, timeoutMs) {
      const open = new Set(ids)
      const stillOpen = async () => {
        const { handled } = await log.read()
        for (const id of open) if (handled.has(id)) open.delete(id)
        return open.size
      }
      await expect.poll(stillOpen, { timeout: timeoutMs, interval: 100 }).toBe(0)
    },
    async committed() {
      const [offsets] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
      return new Map((offsets?.partitions ?? []).map(({ partition, offset }) => [partition, Number(offset)]))
    },
  }
}

/** How often a router said that its group was rebalancing. */
export function rebalances({ router }: RunningSubject): number {
  return router.lines.filter(line => line.includes('"msg":"rebalancing"')).length
}
