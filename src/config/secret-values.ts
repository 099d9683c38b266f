import type { OpenDocument } from './open-document.ts'
import type { SchemaName } from './schema-validator.ts'
import type { ValuePath } from './source-document.ts'

/** Places whose values are no secret, and would make logs unreadable if they were blotted out: addresses, ports, names. */
const publicPlaces: Readonly<Record<SchemaName, readonly RegExp[]>> = {
  router: [
    /^name$/,
    /^broker$/,
    /^brokers\./,
    /^server\.(host|port|admin)$/,
    /^server\.origins\./,
    /^server\.limits\./,
    /^server\.apps\.\d+\.(id|key)$/,
    /^shutdown\./,
  ],
  routes: [/^(topics|broker|group|from|concurrency|enabled)(\.|$)/, /^(window|batch|defaults)\./],
  tests: [],
}

/** Values a log must never show: whatever came from the environment, but for public places, and every app's secret. */
export function secretsOf(open: OpenDocument, schema: SchemaName): readonly string[] {
  const secrets = new Set<string>()
  for (const { path, value } of open.taken) {
    if (!publicPlaces[schema].some(place => place.test(path.join('.'))) && isWorthHiding(value)) secrets.add(value)
  }
  if (schema === 'router') for (const secret of appSecrets(open)) secrets.add(secret)
  return [...secrets]
}

function appSecrets(open: OpenDocument): string[] {
  const secrets: string[] = []
  const valueAt = (path: ValuePath) =>
    path.reduce<unknown>((value, part) => (isObject(value) ? Reflect.get(value, part) : undefined), open.document.value)
  const apps = valueAt(['server', 'apps'])
  for (let index = 0; Array.isArray(apps) && index < apps.length; index += 1) {
    const secret = valueAt(['server', 'apps', index, 'secret'])
    if (typeof secret === 'string' && isWorthHiding(secret)) secrets.push(secret)
  }
  return secrets
}

/** Blotting out `1` or `true` everywhere would hide nothing and spoil every line. */
function isWorthHiding(value: string): boolean {
  return value.length >= 4 && value !== 'true' && value !== 'false'
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
