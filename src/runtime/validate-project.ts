import { missingExports } from '../config/handler-exports.ts'
import { unusedFiles } from '../config/unused-files.ts'
import { hasErrors } from '../diagnostics/problem.ts'
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
  const { root } = options
  const { project, plan, problems } = await draftBlueprint({ ...options, mode: 'validate' })
  const handlers = [...handlersOf(plan), ...authorizersOf(project.router)]
  // Only the whole project can tell what nobody uses; a file with errors may be the one that does.
  const isWhole = options.paths === undefined && !hasErrors(problems)
  const used = { schemas: project.eventSchemas.keys(), handlers: handlers.map(({ module }) => module) }
  return {
    project,
    plan,
    problems: sortProblems([...problems, ...missingExports(root, handlers), ...(isWhole ? unusedFiles(root, used) : [])]),
  }
}
