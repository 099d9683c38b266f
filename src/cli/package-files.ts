import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The package's own folder, as seen from src/cli and from dist/cli. */
const packageFolder = new URL('../../', import.meta.url)

export type SchemaName = 'routes' | 'router' | 'tests'

export function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('package.json', packageFolder), 'utf8'))
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : 'unknown'
}

/** Where the JSON Schema of route files, of router.yaml or of test files lies on this machine. */
export function schemaPath(name: SchemaName): string {
  return fileURLToPath(new URL(`schemas/${name}.schema.json`, packageFolder))
}

export function readSchema(name: SchemaName): string {
  return readFileSync(schemaPath(name), 'utf8')
}
