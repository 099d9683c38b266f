import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { loadProject } from '../../src/config/load-project.ts'
import { loadFiles, places, projectFolder } from './project-folder.ts'

const route = 'topics: orders\nroutes: { a: { actions: [broadcast: news] } }\n'

describe('route files', () => {
  test('are found in folders, sorted; hidden, underscored and test files are none', async () => {
    const project = await loadFiles({
      'routes/z.yaml': route,
      'routes/shop/orders.yml': route,
      'routes/json.json': '{\n\t"topics": ["orders"],\n\t"routes": {"a": {"actions": [{"broadcast": "news"}]}}\n}\n',
      'routes/handlers/receipt.ts': 'export default () => {}',
      'routes/.hidden.yaml': 'broken: [',
      'routes/_draft.yaml': 'broken: [',
      'routes/_drafts/a.yaml': 'broken: [',
      'routes/..data/a.yaml': 'broken: [',
      'routes/z.test.yaml': 'tests: []',
      'routes/notes.md': '# notes',
    })
    expect(project.problems).toEqual([])
    expect(project.routeFiles.map(document => document.file)).toEqual(['routes/json.json', 'routes/shop/orders.yml', 'routes/z.yaml'])
    expect([...project.sources.keys()]).toEqual(['routes/json.json', 'routes/shop/orders.yml', 'routes/z.yaml'])
  })

  test('may be symbolic links, as in a mounted ConfigMap; a loop of folders ends', async () => {
    const root = projectFolder({ 'routes/..2026/orders.yaml': route, 'routes/sub/a.yaml': route })
    symlinkSync('..2026', join(root, 'routes/..data'))
    symlinkSync('..data/orders.yaml', join(root, 'routes/orders.yaml'))
    symlinkSync('..', join(root, 'routes/sub/up'))
    const project = await loadProject({ root, env: {}, mode: 'run' })
    expect(project.routeFiles.map(document => document.file)).toEqual(['routes/orders.yaml', 'routes/sub/a.yaml'])
  })

  test('a link that leads nowhere is reported, not skipped', async () => {
    const root = projectFolder({ 'routes/a.yaml': route })
    symlinkSync('gone.yaml', join(root, 'routes/b.yaml'))
    expect(places(await loadProject({ root, env: {}, mode: 'validate' }))).toEqual(['routes/b.yaml file-unreadable'])
  })

  test('two that give one subscription name are a problem', async () => {
    const project = await loadFiles({ 'routes/a.yaml': route, 'routes/a.yml': route })
    expect(places(project)).toEqual(['routes/a.yml subscription-conflict'])
    expect(project.problems[0]?.related?.[0]?.file).toBe('routes/a.yaml')
  })

  test('without their folder there is one problem that says how to make a project', async () => {
    const { problems } = await loadFiles({})
    expect(problems).toMatchObject([
      { code: 'file-unreadable', severity: 'error', file: 'routes', hint: 'Run `router init` to make a project' },
    ])
  })

  test('all problems of all files come in one go, sorted by file and line', async () => {
    const project = await loadFiles({
      'router.yaml': 'nam: shop\n',
      'routes/b.yaml': 'topics: a\nroutes:\n  x: { acts: [] }\n',
      'routes/a.yaml': 'topics: [\n',
      'routes/empty.yaml': '\n',
    })
    expect(places(project)).toEqual([
      'router.yaml:1:1 schema-unknown-key',
      'routes/a.yaml:1:9 yaml-syntax',
      'routes/b.yaml:3:3 schema-missing-key',
      'routes/b.yaml:3:8 schema-unknown-key',
      'routes/empty.yaml file-empty',
    ])
    expect(project.routeFiles.map(document => document.file)).toEqual(['routes/b.yaml'])
  })

  test('only those asked for are read, by file or by folder', async () => {
    const files = { 'routes/a.yaml': 'broken: [', 'routes/shop/b.yaml': route, 'routes/shop/c.yaml': route }
    const named = async (paths: readonly string[]) => {
      const project = await loadFiles(files, { paths })
      return [...project.routeFiles.map(document => document.file), ...places(project)]
    }
    expect(await named(['routes/shop/c.yaml'])).toEqual(['routes/shop/c.yaml'])
    expect(await named(['routes/shop'])).toEqual(['routes/shop/b.yaml', 'routes/shop/c.yaml'])
    expect(await named(['router.yaml'])).toEqual([])
    expect(await named(['routes/none.yaml'])).toEqual(['routes/none.yaml file-unreadable'])
  })
})

describe('bytes', () => {
  const utf16 = (text: string) => Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')])

  test('a UTF-8 byte order mark is skipped, and places count without it', async () => {
    const project = await loadFiles({ 'routes/a.yaml': `\uFEFF${route}x: 1\n`, 'routes/b.yaml': `\uFEFFtopic: orders\n${route}` })
    expect(places(project)).toEqual(['routes/a.yaml:3:1 schema-unknown-key', 'routes/b.yaml:1:1 schema-unknown-key'])
  })

  test.each([
    ['UTF-16 with a mark', utf16(route), 'file-encoding', 'The file is UTF-16 text'],
    ['UTF-16 without one', Buffer.from(route, 'utf16le'), 'file-encoding', 'The file is UTF-16 text'],
    [
      'bytes that are no UTF-8',
      Buffer.from([...Buffer.from('topics: é\ndescription: caf'), 0xe9]),
      'file-encoding',
      'The file is not valid UTF-8',
    ],
    ['a NUL character', 'topics: a\n\0', 'file-encoding', 'The file holds a NUL character'],
  ])('%s are refused, and the message says why', async (_, content, code, message) => {
    expect((await loadFiles({ 'routes/a.yaml': content })).problems).toMatchObject([{ code, message }])
  })

  test('the place of a byte that is no UTF-8 is shown', async () => {
    const bytes = Buffer.concat([Buffer.from('# é\ntopics: caf'), Buffer.from([0xe9]), Buffer.from('\n')])
    expect(places(await loadFiles({ 'routes/a.yaml': bytes }))).toEqual(['routes/a.yaml:2:12 file-encoding'])
  })

  test('a file of 5 MB is refused by its size', async () => {
    const root = projectFolder({ 'routes/a.yaml': route })
    truncateSync(join(root, 'routes/a.yaml'), 5_242_880)
    const project = await loadProject({ root, env: {}, mode: 'validate' })
    expect(project.problems).toMatchObject([{ code: 'file-too-large', message: 'The file holds 5.0mb: more than 1mb' }])
    expect(project.sources.size).toBe(0)
  })
})

describe('event schemas', () => {
  const withSchema = (schema: string) => `topics: orders\nroutes: { a: { schema: ${schema}, actions: [broadcast: news] } }\n`

  test('are read with the files they refer to, also in a circle', async () => {
    const project = await loadFiles({
      'routes/shop/a.yaml': withSchema('../../schemas/order.json'),
      'schemas/order.json': '{ "$ref": "parts/item.json#/$defs/item" }',
      'schemas/parts/item.json':
        '{ "$defs": { "item": { "$ref": "../order.json" }, "self": { "$ref": "#" }, "far": { "$ref": "https://a.example/b" } } }',
    })
    expect(project.problems).toEqual([])
    expect([...project.eventSchemas.keys()].sort()).toEqual(['schemas/order.json', 'schemas/parts/item.json'])
  })

  test('one that is no JSON is one problem, in its own file; the route that names it is left alone', async () => {
    const project = await loadFiles({
      'routes/a.yaml': withSchema('../schemas/a.json'),
      'routes/b.yaml': withSchema('../schemas/a.json'),
      'schemas/a.json': '{\n  "type": "object\n}\n',
    })
    expect(places(project)).toEqual(['schemas/a.json:2:11 json-schema-invalid'])
    expect(project.routeFiles.map(document => document.isSound(['routes', 'a', 'schema']))).toEqual([false, false])
    expect(project.sources.has('schemas/a.json')).toBe(true)
  })

  test('one outside the project is not read', async () => {
    const project = await loadFiles({ 'routes/a.yaml': withSchema('../../../../../../etc/hostname') })
    expect(project.eventSchemas.size).toBe(0)
  })
})

describe('fileExists', () => {
  test('knows regular files inside the root only, also behind symbolic links', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'signalbox-outside-'))
    onTestFinished(() => rmSync(outside, { recursive: true, force: true }))
    writeFileSync(join(outside, 'secret.ts'), '')
    const root = projectFolder({ 'routes/a.yaml': route, 'handlers/a.ts': '' })
    mkdirSync(join(root, 'handlers/folder.ts'))
    symlinkSync(join(outside, 'secret.ts'), join(root, 'handlers/out.ts'))
    symlinkSync(outside, join(root, 'linked'))
    symlinkSync('a.ts', join(root, 'handlers/in.ts'))
    const { fileExists } = await loadProject({ root, env: {}, mode: 'validate' })
    const candidates = [
      'handlers/a.ts',
      'handlers/in.ts',
      'handlers/out.ts',
      'linked/secret.ts',
      'handlers/folder.ts',
      'handlers/b.ts',
      '../x.ts',
      '/etc/hostname',
    ]
    expect(candidates.filter(file => fileExists(file))).toEqual(['handlers/a.ts', 'handlers/in.ts'])
  })
})

test('a thousand route files are read without a problem', async () => {
  const files = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`routes/route-${index}.yaml`, route]))
  const project = await loadFiles(files)
  expect(project.problems).toEqual([])
  expect(project.routeFiles).toHaveLength(1_000)
})
