import type { Blueprint } from '../runtime/blueprint.ts'
import { CommandFailure } from './failure.ts'
import { hasColor, printError } from './output.ts'

/** The project compiled, for commands that look at all of it. One with errors is printed and thrown as a CommandFailure that says `refusal`. */
export async function soundProject(root: string, refusal: string): Promise<Blueprint> {
  const [{ draftBlueprint }, { formatPretty }] = await Promise.all([
    import('../runtime/blueprint.ts'),
    import('../diagnostics/format-pretty.ts'),
  ])
  const blueprint = await draftBlueprint({ root, env: process.env, mode: 'validate' })
  const errors = blueprint.problems.filter(({ severity }) => severity === 'error')
  if (errors.length === 0) return blueprint
  printError(formatPretty(errors, blueprint.project.sources, { color: hasColor(process.stderr) }))
  throw new CommandFailure(1, refusal)
}
