import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { formatPretty } from '../src/diagnostics/format-pretty.ts'
import { createMetrics } from '../src/observe/metrics.ts'
import { draftBlueprint } from '../src/runtime/blueprint.ts'
import { router } from './cli/router-command.ts'
import { quietRealtime } from './observe/quiet-realtime.ts'

const run = promisify(execFile)
const repository = fileURLToPath(new URL('..', import.meta.url))
const pages = [
  'README.md',
  'docs/route-language.md',
  'docs/testing.md',
  'docs/authoring.md',
  'docs/realtime.md',
  'docs/library.md',
  'docs/operations.md',
  'docs/many-instances.md',
]
const examples = (await readdir(join(repository, 'examples'), { recursive: true })).filter(name => name.endsWith('.md'))
const allPages = [...pages, 'CHANGELOG.md', 'CONTRIBUTING.md', ...examples.map(name => join('examples', name))]
const env = {
  APP_SECRET: 'a-secret-for-this-test',
  REVERB_APP_SECRET: 'a-secret-for-this-test',
  JWT_SECRET: 'a-secret-of-32-characters-for-this-test',
}

interface Block {
  readonly page: string
  readonly place: string
  readonly text: string
  /** What the comment in the first line says; undefined without one. */
  readonly file: string | undefined
}

async function yamlBlocks(page: string): Promise<readonly Block[]> {
  const text = await readFile(join(repository, page), 'utf8')
  return [...text.matchAll(/^```ya?ml\n([\s\S]*?)^```$/gm)].map(match => ({
    page,
    place: `${page}:${text.slice(0, match.index).split('\n').length}`,
    text: match[1] ?? '',
    file: /^# (router\.yaml|routes\/[\w/-]+(?:\.test)?\.yaml)\n/.exec(match[1] ?? '')?.[1],
  }))
}

const blocks = (await Promise.all(pages.map(yamlBlocks))).flat()
/** Modules of the pages: blocks whose first line says in which file they stand. */
const modules = (await Promise.all(pages.map(page => readFile(join(repository, page), 'utf8')))).flatMap(text =>
  [...text.matchAll(/^```ts\n\/\/ ([\w/-]+\.ts)\n([\s\S]*?)^```$/gm)].map(([, file = '', code = '']) => ({ file, code })),
)
const testBlocks = blocks.filter(({ file }) => file?.endsWith('.test.yaml'))

/** Everything wrong with the project in this folder, as a person would see it; empty where it is fine. */
async function problemsOf(root: string): Promise<string> {
  const { project, problems } = await draftBlueprint({ root, env, mode: 'validate' })
  return problems.length === 0 ? '' : formatPretty(problems, project.sources, { color: false })
}

/** The shop of the repository with `file` holding `text` instead, and no other route file. */
async function shopWith(file: string, text: string): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'signalbox-docs-'))
  await cp(join(repository, 'schemas/events'), join(root, 'schemas/events'), { recursive: true })
  await cp(join(repository, 'router.yaml'), join(root, 'router.yaml'))
  await cp(join(repository, 'routes'), join(root, 'routes'), { recursive: true, filter: source => !source.endsWith('.yaml') })
  if (file === 'router.yaml') await writeFile(join(root, 'routes/any.yaml'), 'topics: any\nunmatched: dead-letter\n')
  for (const module of [...modules.map(({ file: name, code }) => [name, code] as const), [file, text] as const]) {
    await mkdir(dirname(join(root, module[0])), { recursive: true })
    await writeFile(join(root, module[0]), module[1])
  }
  return root
}

describe('every YAML block in the documentation', () => {
  test('is found', () => {
    expect(blocks.length).toBeGreaterThanOrEqual(6)
  })

  test.each(blocks.filter(block => !testBlocks.includes(block)))('$place works as it stands', async ({ text, file }) => {
    expect(file, 'the first line names the file, such as `# routes/orders.yaml`').toBeDefined()
    const root = await shopWith(file ?? '', text)
    try {
      expect(await problemsOf(root)).toBe('')
    } finally {
      await rm(root, { recursive: true, force: true })
    }
  })

  test.each(testBlocks)('$place holds for the routes of its page, else for those of the shop', async ({ page, text, file = '' }) => {
    const routes = file.replace('.test.yaml', '.yaml')
    const ofPage = blocks.find(block => block.page === page && block.file === routes)
    const root = await shopWith(routes, ofPage?.text ?? (await readFile(join(repository, routes), 'utf8')))
    try {
      await writeFile(join(root, file), text)
      expect(await router(['test'], { cwd: root, env })).toMatchObject({ code: 0, stdout: expect.stringMatching(/\n\d+ passed; /) })
    } finally {
      await rm(root, { recursive: true, force: true })
    }
  })

  test('would be noticed with a mistake in it', async () => {
    const root = await shopWith('routes/orders.yaml', 'topics: orders\nroutes:\n  paid:\n    actionss: []\n')
    try {
      expect(await problemsOf(root)).toContain('routes/orders.yaml:4:5')
    } finally {
      await rm(root, { recursive: true, force: true })
    }
  })
})

test('the shop of the repository has no problems', async () => {
  expect(await problemsOf(repository)).toBe('')
})

test('the README lists every command, and none that does not exist', async () => {
  const commands = (await readdir(join(repository, 'src/cli/commands'))).map(name => name.replace(/\.ts$/, ''))
  const readme = await readFile(join(repository, 'README.md'), 'utf8')
  const listed = [...readme.matchAll(/^\| `router (\w+)/gm)].map(match => String(match[1]))
  expect(listed.sort()).toEqual(commands.sort())
})

test('the metrics in the documentation are those that are served', async () => {
  const metrics = createMetrics({
    subscriptions: () => [],
    realtime: () => quietRealtime,
    reloads: () => ({ applied: 0, rejected: 0, generation: 1 }),
  })
  const served = new Set([...(await metrics.text()).matchAll(/^# TYPE (signalbox_\w+)/gm)].map(match => String(match[1])))
  const page = await readFile(join(repository, 'docs/operations.md'), 'utf8')
  const documented = new Set([...page.matchAll(/`(signalbox_\w+)`/g)].map(match => String(match[1])))
  expect([...documented].sort()).toEqual([...served].sort())
})

test('links between the pages lead somewhere', async () => {
  for (const page of allPages) {
    const text = await readFile(join(repository, page), 'utf8')
    for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#]+)\)/g)) {
      await expect(readFile(join(repository, dirname(page), String(target))), `${page} -> ${target}`).resolves.toBeDefined()
    }
  }
})

test('commands that the pages tell to type exist, with their flags', { timeout: 60_000 }, async () => {
  const help = new Map<string, string>()
  for (const page of allPages) {
    const text = await readFile(join(repository, page), 'utf8')
    const scripts = [...text.matchAll(/^```sh.*\n([\s\S]*?)^```$/gm)].map(match => String(match[1])).join('')
    for (const [line, command = ''] of scripts.matchAll(/^npx router (\w+).*$/gm)) {
      const known = help.get(command) ?? (await router([command, '--help'])).stdout
      help.set(command, known)
      const words = line.replaceAll(/'[^']*'/g, '').split(' ')
      expect(known, `${page}: ${line}`).toContain(`Usage: router ${command}`)
      for (const flag of words.filter(word => word.startsWith('--'))) expect(known, `${page}: ${line}`).toContain(flag)
    }
  }
  expect(help.size).toBeGreaterThanOrEqual(5)
})

test('"your own topic in your own browser" works from an empty folder, step by step', { timeout: 60_000 }, async () => {
  const readme = await readFile(join(repository, 'README.md'), 'utf8')
  const section = /^## Your own topic[\s\S]*?(?=^## )/m.exec(readme)?.[0] ?? ''
  const root = await mkdtemp(join(tmpdir(), 'signalbox-readme-'))
  onTestFinished(() => rm(root, { recursive: true, force: true }))
  const npx = `#!/bin/sh\nshift\nexec "${process.execPath}" "${join(repository, 'dist/cli/main.js')}" "$@"\n`
  await writeFile(join(root, 'npx'), npx, { mode: 0o755 })

  const outputs: string[] = []
  for (const [, kind, text = ''] of section.matchAll(/^```(sh run|yaml)\n([\s\S]*?)^```$/gm)) {
    const file = /^# (\S+)/.exec(text)?.[1] ?? ''
    if (kind === 'yaml') await writeFile(join(root, file), text)
    else
      outputs.push(
        (await run('/bin/sh', ['-e', '-c', text], { cwd: root, env: { ...env, PATH: `${root}:${process.env['PATH']}` } })).stdout,
      )
  }
  expect(outputs).toEqual([
    expect.stringContaining('wrote  router.yaml'),
    expect.stringMatching(/^1 route file, 1 route: no problems\n✓ orders\/shipped\n +1 broadcast private-user\.7 +event: order\.shipped\n/),
  ])
})
