import { accessSync, constants, realpathSync } from 'node:fs'
import { dirname, isAbsolute, relative, resolve, sep } from 'node:path'
import { type Command, Option } from 'commander'
import { CommandFailure } from '../failure.ts'
import { hasColor, print } from '../output.ts'
import { type GlobalOptions, projectRoot } from '../project-root.ts'

interface ValidateOptions extends GlobalOptions {
  readonly format: 'pretty' | 'json'
  readonly denyWarnings?: true
}

export function addValidate(program: Command): void {
  program
    .command('validate')
    .summary('find every problem in the configuration')
    .description(
      'Reads router.yaml and the route files and prints every problem at once.\nExit code 0: none; 1: some; 2: a file is missing or unreadable.',
    )
    .argument('[paths...]', 'route files or folders (default: all of routes/)')
    .addOption(new Option('--format <format>', 'how to print problems').choices(['pretty', 'json']).default('pretty'))
    .option('--deny-warnings', 'warnings fail too')
    .addHelpText('after', '\nExamples:\n  $ router validate\n  $ router validate routes/orders.yaml --format json --deny-warnings\n')
    .action(async (paths: readonly string[], _options: unknown, command: Command) => {
      process.exitCode = await validate(paths, command.optsWithGlobals<ValidateOptions>())
    })
}

async function validate(paths: readonly string[], options: ValidateOptions): Promise<number> {
  const [first] = paths
  const root = projectRoot(options, first === undefined ? undefined : dirname(resolve(first)))
  const named = paths.map(path => insideProject(root, path))
  const [{ draftBlueprint }, { formatPretty }, { formatJson }, { hasErrors }] = await Promise.all([
    import('../../runtime/blueprint.ts'),
    import('../../diagnostics/format-pretty.ts'),
    import('../../diagnostics/format-json.ts'),
    import('../../diagnostics/problem.ts'),
  ])
  const { project, problems } = await draftBlueprint({
    root,
    env: process.env,
    mode: 'validate',
    ...(named.length === 0 ? {} : { paths: named }),
  })
  if (options.format === 'json') print(formatJson(problems))
  else if (problems.length > 0) print(formatPretty(problems, project.sources, { color: hasColor(process.stdout) }))
  else print(`${counted(project.routeFiles.length, 'route file')}, ${counted(countRoutes(project.routeFiles), 'route')}: no problems`)
  return hasErrors(problems) || (options.denyWarnings === true && problems.length > 0) ? 1 : 0
}

/** The path relative to the project's root, with forward slashes. Throws CommandFailure for one that cannot be read or lies elsewhere. */
function insideProject(root: string, path: string): string {
  const absolute = resolve(path)
  try {
    accessSync(absolute, constants.R_OK)
  } catch (error) {
    throw new CommandFailure(2, `${path} does not exist or cannot be read`, undefined, error)
  }
  const inside = relative(realpathSync(root), realpathSync(absolute))
  if (inside.startsWith('..') || isAbsolute(inside)) {
    throw new CommandFailure(2, `${path} is outside the project ${root}`, 'name the project it belongs to with --project')
  }
  return inside.split(sep).join('/')
}

function countRoutes(files: readonly { readonly value: unknown }[]): number {
  return files.reduce((count, { value }) => count + routeNames(value).length, 0)
}

function routeNames(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, 'routes')) return []
  const routes: unknown = Reflect.get(value, 'routes')
  return typeof routes === 'object' && routes !== null ? Object.keys(routes) : []
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
