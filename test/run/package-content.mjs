import { runCommand } from './children.mjs'

const needed = [
  'LICENSE',
  'README.md',
  'package.json',
  'dist/cli/main.js',
  'dist/index.js',
  'dist/index.d.ts',
  'dist/inspector/page/index.html',
  'schemas/router.schema.json',
  'schemas/routes.schema.json',
  'schemas/tests.schema.json',
]
const allowed =
  /^(?:LICENSE|README\.md|package\.json|dist\/[\w/-]+\.(?:js|d\.ts)|dist\/inspector\/page\/[\w-]+\.(?:html|css|js|svg)|schemas\/\w+\.schema\.json)$/
const mostBytes = 2_250_000

/** What would be published holds everything that is needed at run time, and nothing else. Resolves like `runCommand`. */
export async function checkPackageContent(cwd) {
  const { ok, output, seconds } = await runCommand('npm', ['pack', '--dry-run', '--json', '--ignore-scripts', '--loglevel=error'], { cwd })
  if (!ok) return { ok, output, seconds }
  const [{ files, unpackedSize }] = JSON.parse(output.slice(output.indexOf('[')))
  const paths = files.map(({ path }) => path)
  const faults = [
    ...needed.filter(path => !paths.includes(path)).map(path => `missing: ${path}`),
    ...paths.filter(path => !allowed.test(path)).map(path => `does not belong there: ${path}`),
    ...(unpackedSize > mostBytes ? [`${unpackedSize} bytes are more than ${mostBytes}`] : []),
  ]
  return { ok: faults.length === 0, output: faults.join('\n'), seconds }
}
