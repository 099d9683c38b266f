import type { Problem } from '../diagnostics/problem.ts'
import type { ConfigReader } from './config-reader.ts'
import { readJwt } from './read-jwt.ts'
import type { PemContext } from './read-pem.ts'
import { type AppConfig, type ServerConfig, type WebhookConfig, webhookEvents } from './router-config.ts'
import { routerFileName } from './router-file-name.ts'
import { parseHostPort } from './schema-validator.ts'
import { problemAt, type SourceDocument, type ValuePath } from './source-document.ts'

/** `server:` of router.yaml with its defaults. */
export function readServer(reader: ConfigReader, context: PemContext): ServerConfig {
  const limit = (name: string, fallback: number) => reader.number(['server', 'limits', name], fallback)
  const timeout = (name: string, fallback: number) => reader.duration(['server', 'timeouts', name], fallback)
  const size = (name: string, fallback: number) => reader.size(['server', 'limits', name], fallback)
  return {
    host: reader.text(['server', 'host']) ?? '0.0.0.0',
    port: reader.number(['server', 'port'], 6001),
    admin: parseHostPort(reader.text(['server', 'admin']) ?? ''),
    apps: readApps(reader, context),
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
      connectionsPerIp: reader.optionalNumber(['server', 'limits', 'connectionsPerIp']),
      clientFrames: limit('clientFrames', 50),
      clientEvents: limit('clientEvents', 10),
      members: limit('members', 100),
      memberInfo: size('memberInfo', 1_024),
      userId: limit('userId', 128),
      cachedChannels: limit('cachedChannels', 10_000),
      history: size('history', 67_108_864),
      apiChannels: limit('apiChannels', 100),
      apiBatch: limit('apiBatch', 10),
    },
    timeouts: {
      activityMs: timeout('activity', 120_000),
      pongMs: timeout('pong', 30_000),
      firstSubscribeMs: timeout('firstSubscribe', 300_000),
      authorizeMs: timeout('authorize', 5_000),
    },
    trustedProxies: reader.texts(['server', 'trustedProxies']) ?? [],
  }
}

function readApps(reader: ConfigReader, context: PemContext): readonly AppConfig[] {
  const { mode, problems } = context
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
    apps.push({ id, key, secret, ...readAppOptions(reader, [...path, index], context) })
  }
  return apps
}

/** What is written of an app's options: what is not is left to its default. */
function readAppOptions(reader: ConfigReader, path: ValuePath, context: PemContext): Partial<AppConfig> {
  const clientEvents = reader.value([...path, 'clientEvents'])
  const subscriptionCount = reader.value([...path, 'subscriptionCount'])
  const connections = reader.optionalNumber([...path, 'connections'])
  const webhooks = readWebhooks(reader, [...path, 'webhooks'])
  const jwt = readJwt(reader, [...path, 'jwt'], context)
  return {
    ...(typeof clientEvents === 'boolean' ? { clientEvents } : {}),
    ...(typeof subscriptionCount === 'boolean' ? { subscriptionCount } : {}),
    ...(connections === undefined ? {} : { connections }),
    ...(webhooks.length === 0 ? {} : { webhooks }),
    ...(jwt === undefined ? {} : { jwt }),
  }
}

function readWebhooks(reader: ConfigReader, path: ValuePath): readonly WebhookConfig[] {
  const written = reader.value(path)
  if (!Array.isArray(written)) return []
  return written.flatMap((_, index) => {
    const url = reader.text([...path, index, 'url'])
    const listed = reader.texts([...path, index, 'events'])
    const events = listed === undefined ? webhookEvents : webhookEvents.filter(event => listed.includes(event))
    return url === undefined ? [] : [{ url, events }]
  })
}

/** `run` makes no app up. */
export function missingApps(document: SourceDocument | undefined): Problem {
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
