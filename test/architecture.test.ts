import { describe, expect, test } from 'vitest'
import { importsOf, readSources, type SourceFile, withoutComments } from './source-imports.ts'

/** Rooms whose public contract is one file: the only one of theirs that others than the runtime may import. */
const contracts = ['brokers/broker.ts', 'realtime/hub.ts']

const core = ['diagnostics', 'config', 'compiler', 'engine']
const parts = [...core, 'actions', 'brokers', 'realtime', 'stores', 'reload', 'observe', 'inspector']

/** What each room may import beside itself: rooms, or single files. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  client: [],
  diagnostics: [],
  config: ['diagnostics'],
  compiler: ['diagnostics', 'config'],
  engine: ['diagnostics', 'config', 'compiler'],
  actions: [...core, ...contracts],
  brokers: ['config', 'compiler'],
  realtime: ['config', 'compiler'],
  stores: ['config', 'compiler'],
  reload: ['diagnostics', 'config', 'compiler'],
  observe: ['diagnostics', 'config', 'realtime/realtime-stats.ts'],
  inspector: ['diagnostics', 'config', 'compiler', 'engine', 'observe', 'reload/reload-result.ts', ...contracts],
  runtime: parts,
  testing: [...core, 'actions', 'runtime', ...contracts],
  cli: [...parts, 'runtime', 'testing'],
  'index.ts': [...parts, 'runtime'],
}

/** Rooms without I/O, with the modules they may use: each of these only computes. */
const pure: Readonly<Record<string, readonly string[]>> = {
  compiler: ['ajv', 'ajv/dist/2020.js', 'ajv-formats', 'handlebars', 're2js', 'node:crypto', 'node:path'],
  engine: ['node:buffer', 'node:crypto'],
}

/** Packages behind one seam. */
const seams: Readonly<Record<string, RegExp>> = {
  'js-yaml': /^config\/yaml/,
  undici: /^actions\/http-/,
  kafkajs: /^brokers\/kafka\//,
  ws: /^realtime\//,
  jose: /^realtime\/token-/,
  commander: /^cli\//,
  chokidar: /^reload\//,
  pino: /^observe\//,
  'prom-client': /^observe\//,
  ioredis: /^(stores|realtime\/backplane)\//,
  'classic-level': /^stores\//,
  'lru-cache': /^stores\//,
}

const mostLines = 450

const sources = readSources()

describe('rooms', () => {
  test('every file stands in a room that this test knows', () => {
    expect([...new Set(sources.map(({ room }) => room))].filter(room => !Object.hasOwn(mayImport, room))).toEqual([])
  })

  test('imports go in one direction between the rooms', () => {
    const wrong = eachImport(({ room }, { to, isOwn }) => {
      if (!isOwn) return false
      const target = to.split('/')[0] ?? to
      return target !== room && !mayImport[room]?.some(allowed => allowed === target || allowed === to)
    })
    expect(wrong).toEqual([])
  })

  test('brokers and realtime take only types from the compiler', () => {
    const wrong = eachImport(
      ({ room }, { to, typeOnly }) => ['brokers', 'realtime', 'stores'].includes(room) && to.startsWith('compiler/') && !typeOnly,
    )
    expect(wrong).toEqual([])
  })

  test('compiler and engine import nothing that does I/O', () => {
    const wrong = eachImport(({ room }, { to, isOwn }) => !isOwn && Object.hasOwn(pure, room) && !pure[room]?.includes(to))
    expect(wrong).toEqual([])
  })

  test('the engine takes time, timers and chance from its ports, and nothing from the process', () => {
    const outside =
      /\b(?:setTimeout|setInterval|setImmediate|queueMicrotask|fetch)\(|\b(?:Date\.now|Math\.random|performance\.now|process\.|console\.)/
    const wrong = sources.filter(({ room, text }) => room === 'engine' && outside.test(withoutComments(text)))
    expect(wrong.map(({ path }) => path)).toEqual([])
  })

  test('a library with a seam is imported behind it only', () => {
    const wrong = eachImport(({ path }, { to }) => Object.hasOwn(seams, to) && seams[to]?.test(path) === false)
    expect(wrong).toEqual([])
  })
})

describe('files', () => {
  test('no file needs itself over others to be loaded', () => {
    expect(findCycles(sources)).toEqual([])
  })

  test('every import names a file that exists', () => {
    const paths = new Set(sources.map(({ path }) => path))
    expect(eachImport((_, { to, isOwn }) => isOwn && to.endsWith('.ts') && !paths.has(to))).toEqual([])
  })

  test('names are kebab-case', () => {
    const wrong = sources.filter(({ path }) => !path.split('/').every(part => /^[a-z0-9]+(?:-[a-z0-9]+)*(?:(?:\.d)?\.ts)?$/.test(part)))
    expect(wrong.map(({ path }) => path)).toEqual([])
  })

  test(`none has more than ${mostLines} lines`, () => {
    const long = sources.map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 })).filter(({ lines }) => lines > mostLines)
    expect(long).toEqual([])
  })
})

describe('the scanner of imports', () => {
  test('sees every form of import, and which of them are types', () => {
    const text = `
import { a, type B } from '../config/a.ts'
import type { C } from './c.ts'
import { type D, type E } from './d.ts'
import {
  f,
} from 'f'
import './g.ts'
export { h } from './h.ts'
export type * from './i.ts'
// import { no } from './no.ts'
const j = await import('./j.ts')
const [k] = await Promise.all([import('./k.ts')])
type L = import('./l.ts').L
`
    const found = importsOf('cli/x.ts', text).map(({ to, typeOnly }) => (typeOnly ? `type ${to}` : to))
    expect(found.toSorted()).toEqual(
      [
        'config/a.ts',
        'type cli/c.ts',
        'type cli/d.ts',
        'f',
        'cli/g.ts',
        'cli/h.ts',
        'type cli/i.ts',
        'cli/j.ts',
        'cli/k.ts',
        'type cli/l.ts',
      ].toSorted(),
    )
  })

  test('finds a cycle and names its files', () => {
    const file = (path: string, to: string): SourceFile => ({
      path,
      room: 'x',
      text: '',
      imports: importsOf(path, `import { a } from '${to}'`),
    })
    expect(findCycles([file('x/a.ts', './b.ts'), file('x/b.ts', './c.ts'), file('x/c.ts', './b.ts')])).toEqual([
      'x/b.ts -> x/c.ts -> x/b.ts',
    ])
  })
})

function eachImport(isWrong: (file: SourceFile, imported: SourceFile['imports'][number]) => boolean): readonly string[] {
  return sources.flatMap(file => file.imports.filter(imported => isWrong(file, imported)).map(({ to }) => `${file.path} -> ${to}`))
}

/** Each cycle once, as the way round it. Types do not count: what they name is gone when the files are loaded. */
function findCycles(files: readonly SourceFile[]): readonly string[] {
  const imports = new Map(
    files.map(({ path, imports }) => [path, imports.filter(({ isOwn, typeOnly }) => isOwn && !typeOnly).map(({ to }) => to)]),
  )
  const done = new Set<string>()
  const cycles: string[] = []
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path)
    if (start !== -1) cycles.push([...trail.slice(start), path].join(' -> '))
    if (start !== -1 || done.has(path)) return
    for (const next of imports.get(path) ?? []) visit(next, [...trail, path])
    done.add(path)
  }
  for (const { path } of files) visit(path, [])
  return cycles
}
