import { findUnusedTopics } from '../compiler/find-undeclared-events.ts'
import { findUnkeptBroadcasts } from '../compiler/find-unkept-broadcasts.ts'
import { findUnreachableChannels } from '../compiler/find-unreachable-channels.ts'
import { missingExports } from '../config/handler-exports.ts'
import type { Project } from '../config/load-project.ts'
import { missingApps } from '../config/read-server.ts'
import type { SourceDocument } from '../config/source-document.ts'
import { unusedFiles } from '../config/unused-files.ts'
import { hasErrors, type Problem } from '../diagnostics/problem.ts'
import { sortProblems } from '../diagnostics/sort-problems.ts'
import { authorizersOf, type Blueprint, draftBlueprint, handlersOf } from './blueprint.ts'

export interface ValidateOptions {
  readonly root: string
  readonly env: NodeJS.ProcessEnv
  /** Only these route files or folders; default: all. */
  readonly paths?: readonly string[]
}

/** Everything that can be known of a project without running it. */
export async function validateProject(options: ValidateOptions): Promise<Blueprint> {
  const blueprint = await draftBlueprint({ ...options, mode: 'validate' })
  const { project, plan, problems } = blueprint
  const exportProblems = missingExports(options.root, [...handlersOf(plan), ...authorizersOf(project.router)])
  // Only the whole project can tell what nobody uses; a file with errors may be the one that does.
  const isWhole = options.paths === undefined && !hasErrors(problems)
  return {
    project,
    plan,
    problems: sortProblems([...problems, ...exportProblems, ...pointless(blueprint), ...(isWhole ? unused(blueprint) : [])]),
  }
}

function unused({ project, plan }: Blueprint): readonly Problem[] {
  const handlers = [...handlersOf(plan), ...authorizersOf(project.router)].map(({ module }) => module)
  const { routerFile, router } = project
  return [
    ...unusedFiles(project.root, { schemas: project.eventSchemas.keys(), handlers }),
    ...(routerFile === undefined ? [] : findUnusedTopics(plan, router.topics, routerFile)),
  ]
}

/** Broadcasts that miss whom they are meant for. `dev` makes up the secrets that are missing, so only here this is told: with those nobody else could sign. */
function pointless({ project, plan }: Blueprint): readonly Problem[] {
  const { server, channels } = project.router
  const documents = new Map(project.routeFiles.map(document => [document.file, document]))
  const written = project.routerFile === undefined ? [] : appsWithoutKey(project.routerFile)
  const unsigned = server.apps.filter(({ id }) => written.includes(id))
  return [
    ...withoutApps(project),
    ...findUnreachableChannels(plan, { server, rules: channels, unsigned }, documents),
    ...findUnkeptBroadcasts(plan, project.router, documents),
  ]
}

/** A project whose messages outlive the router is for `run`, which refuses to start without apps. */
function withoutApps({ router: { broker, brokers }, routerFile }: Project): readonly Problem[] {
  const isForRun = Object.hasOwn(brokers, broker) && brokers[broker]?.type !== 'memory'
  if (routerFile === undefined || !isForRun || property(property(routerFile.value, 'server'), 'apps') !== undefined) return []
  return [{ ...missingApps(routerFile), severity: 'warning' }]
}

/** Ids of apps that have neither `secret` nor `jwt`; one from a variable that is not set is reported there. */
function appsWithoutKey({ value }: SourceDocument): readonly unknown[] {
  const apps = property(property(value, 'server'), 'apps')
  return Array.isArray(apps)
    ? apps.filter(app => ['secret', 'jwt'].every(key => property(app, key) === undefined)).map(app => property(app, 'id'))
    : []
}

function property(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined
}
