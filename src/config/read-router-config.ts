import { basename } from 'node:path'
import type { Problem } from '../diagnostics/problem.ts'
import { ConfigReader } from './config-reader.ts'
import { didYouMean } from './did-you-mean.ts'
import { readBackplane } from './read-backplane.ts'
import { readChannelRules } from './read-channel-rules.ts'
import type { LoadMode } from './read-document.ts'
import { readHttp } from './read-http.ts'
import { readIdempotency } from './read-idempotency.ts'
import { readKafkaSecurity } from './read-kafka-security.ts'
import type { PemContext } from './read-pem.ts'
import { readServer } from './read-server.ts'
import type { BrokerConfig, ConsumerProperties, RouterConfig } from './router-config.ts'
import { problemAt, type SourceDocument, type ValuePath } from './source-document.ts'

/** router.yaml with every default filled in. Where the schema found something wrong the default stands: the problem is already reported. */
export function readRouterConfig(
  root: string,
  document: SourceDocument | undefined,
  mode: LoadMode,
  fileExists: (file: string) => boolean,
): { readonly config: RouterConfig; readonly problems: readonly Problem[] } {
  const reader = new ConfigReader(document)
  const problems: Problem[] = []
  const context = { root, mode, problems }
  const brokers = readBrokers(reader, context)
  const config: RouterConfig = {
    name: reader.text(['name']) ?? safeName(root),
    broker: defaultBroker(reader, brokers, problems),
    brokers,
    server: readServer(reader, context),
    channels: readChannelRules(reader, fileExists, problems),
    topics: readTopics(reader),
    http: readHttp(reader),
    backplane: readBackplane(reader, problems),
    defaults: reader.map(['defaults']) ?? {},
    idempotency: readIdempotency(reader, problems),
    shutdown: { graceMs: reader.duration(['shutdown', 'grace'], 25_000), rebalanceMs: reader.duration(['shutdown', 'rebalance'], 5_000) },
  }
  return { config, problems }
}

function readTopics(reader: ConfigReader): RouterConfig['topics'] {
  const topics = Object.keys(reader.map(['topics']) ?? {})
  return new Map(topics.map(topic => [topic, reader.texts(['topics', topic, 'events']) ?? []]))
}

/** Group and client names are made of it: only what Kafka takes. */
function safeName(root: string): string {
  return (
    basename(root)
      .replace(/[^A-Za-z0-9._-]+/g, '-')
      .replace(/^[-.]+|[-.]+$/g, '') || 'app'
  )
}

function readBrokers(reader: ConfigReader, context: PemContext): RouterConfig['brokers'] {
  const written = reader.map(['brokers'])
  if (written === undefined) return { local: { type: 'memory', partitions: 3 } }
  const brokers: Record<string, BrokerConfig> = Object.create(null)
  for (const name of Object.keys(written)) {
    const path = ['brokers', name]
    const type = reader.text([...path, 'type'])
    if (type === 'memory') brokers[name] = { type, partitions: reader.number([...path, 'partitions'], 3) }
    if (type === 'kafka')
      brokers[name] = {
        type,
        brokers: reader.texts([...path, 'brokers']) ?? [],
        consumer: readConsumer(reader, [...path, 'consumer']),
        ...readKafkaSecurity(reader, path, context),
      }
  }
  return brokers
}

const numericProperties = [
  'fetch.min.bytes',
  'fetch.max.wait.ms',
  'fetch.max.bytes',
  'max.partition.fetch.bytes',
  'session.timeout.ms',
  'heartbeat.interval.ms',
  'rebalance.timeout.ms',
] as const

function readConsumer(reader: ConfigReader, path: ValuePath): ConsumerProperties {
  const numbers: { -readonly [Name in (typeof numericProperties)[number]]?: number } = {}
  for (const name of numericProperties) {
    const value = reader.value([...path, name])
    if (typeof value === 'number') numbers[name] = value
  }
  const isolation = reader.text([...path, 'isolation.level'])
  const clientId = reader.text([...path, 'client.id'])
  return {
    ...numbers,
    ...(isolation === 'read_committed' || isolation === 'read_uncommitted' ? { 'isolation.level': isolation } : {}),
    ...(clientId === undefined ? {} : { 'client.id': clientId }),
  }
}

function defaultBroker(reader: ConfigReader, brokers: RouterConfig['brokers'], problems: Problem[]): string {
  const names = Object.keys(reader.map(['brokers']) ?? brokers)
  const written = reader.text(['broker'])
  const { document } = reader
  if (written !== undefined && document !== undefined && !names.includes(written)) {
    const meant = didYouMean(written, names)
    const hint = meant === undefined ? `Brokers here: ${names.join(', ')}` : `Did you mean \`${meant}\`?`
    problems.push(problemAt(document, ['broker'], 'broker-unknown', 'The default broker is not defined under `brokers`', { hint }))
  }
  if (written !== undefined) return written
  const [only] = names
  if (names.length === 1 && only !== undefined) return only
  if (names.includes('local')) return 'local'
  if (document?.isSound(['broker'])) {
    const hint = `Write for example \`broker: ${only ?? 'local'}\``
    const range = document.keyRangeOf(['brokers'])
    problems.push(
      problemAt(document, ['brokers'], 'broker-missing', 'Several brokers are defined and none is the default', { hint, range }),
    )
  }
  return only ?? 'local'
}
