import { basename } from 'node:path'
import type { Problem } from '../diagnostics/problem.ts'
import { ConfigReader } from './config-reader.ts'
import { didYouMean } from './did-you-mean.ts'
import type { LoadMode } from './read-document.ts'
import { readKafkaSecurity, type SecurityContext } from './read-kafka-security.ts'
import type { AppConfig, BrokerConfig, ConsumerProperties, RouterConfig, ServerConfig } from './router-config.ts'
import { parseHostPort } from './schema-validator.ts'
import { problemAt, type SourceDocument, type ValuePath } from './source-document.ts'

export const routerFileName = 'router.yaml'

/** router.yaml with every default filled in. Where the schema found something wrong the default stands: the problem is already reported. */
export function readRouterConfig(
  root: string,
  document: SourceDocument | undefined,
  mode: LoadMode,
): { readonly config: RouterConfig; readonly problems: readonly Problem[] } {
  const reader = new ConfigReader(document)
  const problems: Problem[] = []
  const brokers = readBrokers(reader, { root, mode, problems })
  const config: RouterConfig = {
    name: reader.text(['name']) ?? safeName(root),
    broker: defaultBroker(reader, brokers, problems),
    brokers,
    server: readServer(reader, mode, problems),
    defaults: reader.map(['defaults']) ?? {},
    shutdown: { graceMs: reader.duration(['shutdown', 'grace'], 25_000), rebalanceMs: reader.duration(['shutdown', 'rebalance'], 5_000) },
  }
  return { config, problems }
}

/** Group and client names are made of it: only what Kafka takes. */
function safeName(root: string): string {
  return (
    basename(root)
      .replace(/[^A-Za-z0-9._-]+/g, '-')
      .replace(/^[-.]+|[-.]+$/g, '') || 'app'
  )
}

function readBrokers(reader: ConfigReader, context: SecurityContext): RouterConfig['brokers'] {
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

function readServer(reader: ConfigReader, mode: LoadMode, problems: Problem[]): ServerConfig {
  const limit = (name: string, fallback: number) => reader.number(['server', 'limits', name], fallback)
  const size = (name: string, fallback: number) => reader.size(['server', 'limits', name], fallback)
  return {
    host: reader.text(['server', 'host']) ?? '0.0.0.0',
    port: reader.number(['server', 'port'], 6001),
    admin: parseHostPort(reader.text(['server', 'admin']) ?? ''),
    apps: readApps(reader, mode, problems),
    origins: reader.texts(['server', 'origins']),
    limits: {
      frame: size('frame', 16_384),
      queue: size('queue', 1_048_576),
      channels: limit('channels', 1_000),
      channelName: limit('channelName', 200),
      eventName: limit('eventName', 200),
      broadcast: size('broadcast', 102_400),
      apiEvent: size('apiEvent', 10_240),
      connections: limit('connections', 100_000),
      clientFrames: limit('clientFrames', 50),
    },
  }
}

function readApps(reader: ConfigReader, mode: LoadMode, problems: Problem[]): readonly AppConfig[] {
  const { document } = reader
  const path: ValuePath = ['server', 'apps']
  const written = reader.value(path)
  if (!Array.isArray(written)) {
    if (mode !== 'run') return [{ id: 'app', key: 'app-key', secret: undefined }]
    if (document === undefined || document.isSound(path)) problems.push(missingApps(document))
    return []
  }
  const apps: AppConfig[] = []
  for (let index = 0; index < written.length; index += 1) {
    const id = reader.text([...path, index, 'id'])
    const key = reader.text([...path, index, 'key'])
    const secret = reader.text([...path, index, 'secret'])
    if (id === undefined || key === undefined || document === undefined) continue
    for (const name of ['id', 'key'] as const) {
      const earlier = apps.findIndex(app => app[name] === { id, key }[name])
      if (earlier !== -1) problems.push(repeatedApp(document, [...path, index, name], [...path, earlier, name]))
    }
    if (mode === 'run' && secret === undefined && document.isSound([...path, index, 'secret']))
      problems.push(missingSecret(document, [...path, index], id))
    apps.push({ id, key, secret })
  }
  return apps
}

function missingApps(document: SourceDocument | undefined): Problem {
  const message = '`server.apps` is missing: `run` has no default app'
  const hint = 'Write `apps: [{ id: shop, key: shop-key, secret: "${APP_SECRET}" }]` below `server`'
  if (document === undefined) return { code: 'schema-missing-key', severity: 'error', message, file: routerFileName, hint }
  return problemAt(document, ['server'], 'schema-missing-key', message, { hint, range: document.keyRangeOf(['server']) })
}

function missingSecret(document: SourceDocument, path: ValuePath, id: string): Problem {
  const hint = 'Write `secret: "${APP_SECRET}"` and set the variable'
  return problemAt(document, [...path, 'id'], 'schema-missing-key', `The app \`${id}\` has no \`secret\`: \`run\` makes none up`, { hint })
}

function repeatedApp(document: SourceDocument, path: ValuePath, earlier: ValuePath): Problem {
  const related = [{ message: 'it stands here first', file: document.file, range: document.rangeOf(earlier) }]
  return {
    ...problemAt(document, path, 'schema-value', `Two apps have one \`${path.at(-1)}\``, { hint: 'Give each app its own' }),
    related,
  }
}
