import type { OpenDocument } from './open-document.ts'
import type { SchemaName } from './schema-validator.ts'
import type { ValuePath } from './source-document.ts'

/** Places whose values are no secret, and would make logs unreadable if they were blotted out: addresses, ports, names. */
const publicPlaces: Readonly<Record<SchemaName, readonly RegExp[]>> = {
  router: [
    /^name$/,
    /^broker$/,
    /^brokers\.(?!.*\.(sasl\.password|ssl\.(key|passphrase))$)/,
    /^server\.(host|port|admin)$/,
    /^server\.origins\./,
    /^server\.limits\./,
    /^server\.apps\.\d+\.(id|key|jwt\.(publicKey|jwks|issuer|audience|algorithms.*))$/,
    /^idempotency\.(?!url$)/,
    /^backplane\.(?!url$)/,
    /^http\./,
    /^shutdown\./,
  ],
  routes: [/^(topics|broker|group|from|concurrency|maxMessage|enabled)(\.|$)/, /^(window|batch|defaults)\./],
  tests: [],
}

/** Values a log must never show: whatever came from the environment, but for public places, every app's secret, every broker's and store's password. */
export function secretsOf(open: OpenDocument, schema: SchemaName): readonly string[] {
  const secrets = new Set<string>()
  for (const { path, value } of open.taken) {
    if (!publicPlaces[schema].some(place => place.test(path.join('.'))) && isWorthHiding(value)) secrets.add(value)
  }
  if (schema === 'router') for (const secret of [...appSecrets(open), ...brokerSecrets(open), ...storeSecrets(open)]) secrets.add(secret)
  return [...secrets]
}

function appSecrets(open: OpenDocument): string[] {
  const secrets: string[] = []
  const apps = valueAt(open, ['server', 'apps'])
  for (let index = 0; Array.isArray(apps) && index < apps.length; index += 1) {
    const secret = valueAt(open, ['server', 'apps', index, 'secret'])
    if (typeof secret === 'string' && isWorthHiding(secret)) secrets.push(secret)
  }
  return secrets
}

/** Also where somebody wrote them into the file. */
function brokerSecrets(open: OpenDocument): readonly string[] {
  const brokers = valueAt(open, ['brokers'])
  if (!isObject(brokers)) return []
  return Object.keys(brokers)
    .flatMap(name => [valueAt(open, ['brokers', name, 'sasl', 'password']), valueAt(open, ['brokers', name, 'ssl', 'passphrase'])])
    .filter(value => typeof value === 'string')
    .filter(isWorthHiding)
}

function storeSecrets(open: OpenDocument): readonly string[] {
  return [valueAt(open, ['idempotency', 'url']), valueAt(open, ['backplane', 'url'])]
    .filter(url => typeof url === 'string')
    .filter(url => URL.canParse(url))
    .map(url => new URL(url).password)
    .filter(isWorthHiding)
}

function valueAt(open: OpenDocument, path: ValuePath): unknown {
  return path.reduce<unknown>(
    (value, part) => (isObject(value) && Object.hasOwn(value, part) ? Reflect.get(value, part) : undefined),
    open.document.value,
  )
}

/** Blotting out `1` or `true` everywhere would hide nothing and spoil every line. */
function isWorthHiding(value: string): boolean {
  return value.length >= 4 && value !== 'true' && value !== 'false'
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
