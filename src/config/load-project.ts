import { existsSync, statSync } from 'node:fs'
import { join, relative, resolve, sep } from 'node:path'
import type { Problem } from '../diagnostics/problem.ts'
import { sortProblems } from '../diagnostics/sort-problems.ts'
import { type ChannelFeed, channelSubscriptions } from './channel-subscriptions.ts'
import type { Environment } from './environment.ts'
import { readEventSchemas, type SchemaUser } from './event-schemas.ts'
import { findRouteFiles, isRouteFilePath } from './find-route-files.ts'
import { isInside, type ProjectFiles, projectFiles } from './project-files.ts'
import { type LoadMode, type ReadResult, readDocument } from './read-document.ts'
import { readRouterConfig } from './read-router-config.ts'
import type { RouterConfig } from './router-config.ts'
import { routerFileName } from './router-file-name.ts'
import type { SchemaName } from './schema-validator.ts'
import type { SourceDocument } from './source-document.ts'
import { subscriptionName } from './subscription-name.ts'

export interface LoadOptions {
  /** The project's folder, absolute. */
  readonly root: string
  readonly env: Environment
  readonly mode: LoadMode
  /** Load only these route files (or those in these folders); absolute, or relative to the root. Default: all. */
  readonly paths?: readonly string[]
  /** Feeds these channels instead of reading any route file. */
  readonly channels?: ChannelFeed
}

/** A project's files, read and checked one by one. What holds between them is the compiler's. */
export interface Project {
  readonly root: string
  readonly router: RouterConfig
  readonly routerFile: SourceDocument | undefined
  /** All that could be read, sorted by path. */
  readonly routeFiles: readonly SourceDocument[]
  /** Parsed JSON Schemas by path relative to the root: those that routes name, and those they refer to. */
  readonly eventSchemas: ReadonlyMap<string, unknown>
  /** True for a regular file inside the root, also after symbolic links. */
  fileExists(file: string): boolean
  /** Sorted by file and place. */
  readonly problems: readonly Problem[]
  /** Texts by file, for code frames. */
  readonly sources: ReadonlyMap<string, string>
  /** Values that must not appear in any output. */
  readonly secrets: readonly string[]
}

/** Reads the whole project and reports everything wrong in one go. Rejects only where the file system fails in ways nobody can fix in a file. */
export async function loadProject({ root, env, mode, paths, channels }: LoadOptions): Promise<Project> {
  const files = projectFiles(root)
  const sources = new Map<string, string>()
  const problems: Problem[] = []
  const secrets = new Set<string>()

  const routerResult = existsSync(join(root, routerFileName)) ? load(routerFileName, 'router') : undefined
  if (routerResult === undefined) problems.push(...misnamedRouterFile(root))
  const router = readRouterConfig(root, routerResult?.document, mode, file => files.exists(file))
  if (routerResult === undefined || routerResult.isRead) problems.push(...router.problems)

  const selected = channels === undefined ? selectRouteFiles(root, paths, problems) : []
  const routeFiles: SchemaUser[] = []
  for (const file of selected) {
    const { document, markUnsound } = load(file, 'routes')
    if (document !== undefined) routeFiles.push({ document, markUnsound })
  }
  for (const { file, text } of channels === undefined ? [] : channelSubscriptions(channels, router.config.defaults)) {
    sources.set(file, text)
    const { document, markUnsound, problems: found } = readDocument({ file, text, schema: 'routes', env, mode })
    problems.push(...found)
    if (document !== undefined) routeFiles.push({ document, markUnsound })
  }
  problems.push(...repeatedNames(selected))
  const schemas = readEventSchemas(routeFiles, files)
  problems.push(...schemas.problems)
  for (const [file, text] of schemas.texts) sources.set(file, text)
  return {
    root,
    router: router.config,
    routerFile: routerResult?.document,
    routeFiles: routeFiles.map(({ document }) => document),
    eventSchemas: schemas.schemas,
    fileExists: file => files.exists(file),
    problems: sortProblems(problems),
    sources,
    secrets: [...secrets],
  }

  function load(file: string, schema: SchemaName): ReadResult {
    const result = loadFile(files, file, schema, env, mode, sources)
    problems.push(...result.problems)
    for (const secret of result.secrets) secrets.add(secret)
    return result
  }
}

function loadFile(
  files: ProjectFiles,
  file: string,
  schema: SchemaName,
  env: Environment,
  mode: LoadMode,
  sources: Map<string, string>,
): ReadResult {
  const read = files.readText(file)
  if ('problem' in read) return { document: undefined, isRead: false, markUnsound: () => {}, problems: [read.problem], secrets: [] }
  sources.set(file, read.text)
  return readDocument({ file, text: read.text, schema, env, mode })
}

/** A file that looks like router.yaml and is not read would be configuration silently dropped. */
function misnamedRouterFile(root: string): readonly Problem[] {
  return ['router.yml', 'router.json']
    .filter(name => existsSync(join(root, name)))
    .map(file => ({
      code: 'file-unreadable',
      severity: 'error',
      message: 'This name is not read',
      file,
      hint: `Rename it to ${routerFileName}`,
    }))
}

function selectRouteFiles(root: string, paths: readonly string[] | undefined, problems: Problem[]): readonly string[] {
  const all = findRouteFiles(root)
  if (all === undefined) {
    const message = 'The project has no folder `routes`'
    problems.push({ code: 'file-unreadable', severity: 'error', message, file: 'routes', hint: 'Run `router init` to make a project' })
  }
  if (paths === undefined) return all ?? []
  const selected = new Set<string>()
  for (const path of paths) {
    const file = relative(root, resolve(root, path)).split(sep).join('/')
    const found = (all ?? []).filter(candidate => candidate === file || candidate.startsWith(`${file}/`) || file === '')
    for (const candidate of found) selected.add(candidate)
    if (found.length === 0 && file !== routerFileName) problems.push(noRouteFile(root, file))
  }
  return [...selected].sort()
}

function noRouteFile(root: string, file: string): Problem {
  const exists = isInside(file) && statSync(join(root, file), { throwIfNoEntry: false }) !== undefined
  const message = exists && !isRouteFilePath(file) ? 'This is no route file' : 'The file does not exist'
  return { code: 'file-unreadable', severity: 'error', message, file, hint: 'Route files are routes/**/*.{yaml,yml,json}' }
}

function repeatedNames(files: readonly string[]): readonly Problem[] {
  const first = new Map<string, string>()
  const problems: Problem[] = []
  for (const file of files) {
    const name = subscriptionName(file)
    const earlier = first.get(name)
    if (earlier === undefined) first.set(name, file)
    else {
      const related = [{ message: 'the other file', file: earlier }]
      const message = `The subscription \`${name}\` already has a file`
      problems.push({ code: 'subscription-conflict', severity: 'error', message, file, hint: 'Rename one of them', related })
    }
  }
  return problems
}
