import { missingExports } from '../config/handler-exports.ts'
import type { Project } from '../config/load-project.ts'
import { unusedFiles } from '../config/unused-files.ts'
import { hasErrors, type Problem } from '../diagnostics/problem.ts'
import { sortProblems } from '../diagnostics/sort-problems.ts'
import { authorizersOf, draftBlueprint, handlersOf } from './blueprint.ts'

export interface ValidateOptions {
  readonly root: string
  readonly env: NodeJS.ProcessEnv
  /** Only these route files or folders; default: all. */
  readonly paths?: readonly string[]
}

/** Everything that can be known of a project without running it. */
export async function validateProject(
  options: ValidateOptions,
): Promise<{ readonly project: Project; readonly problems: readonly Problem[] }> {
  const { root } = options
  const { project, plan, problems } = await draftBlueprint({ ...options, mode: 'validate' })
  const handlers = [...handlersOf(plan), ...authorizersOf(project.router)]
  // Only the whole project can tell what nobody uses; a file with errors may be the one that does.
  const isWhole = options.paths === undefined && !hasErrors(problems)
  const used = { schemas: project.eventSchemas.keys(), handlers: handlers.map(({ module }) => module) }
  return { project, problems: sortProblems([...problems, ...missingExports(root, handlers), ...(isWhole ? unusedFiles(root, used) : [])]) }
}
