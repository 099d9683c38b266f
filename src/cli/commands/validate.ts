import { accessSync, constants, realpathSync } from 'node:fs'
import { dirname, isAbsolute, relative, resolve, sep } from 'node:path'
import { type Command, Option } from 'commander'
import type { RoutingPlan } from '../../compiler/plan.ts'
import type { Project } from '../../config/load-project.ts'
import type { Problem } from '../../diagnostics/problem.ts'
import type { LiveCheck } from '../../testing/check-live.ts'
import { CommandFailure } from '../failure.ts'
import { hasColor, print } from '../output.ts'
import { packageVersion } from '../package-files.ts'
import { type GlobalOptions, projectRoot } from '../project-root.ts'

interface ValidateOptions extends GlobalOptions {
  readonly format: 'pretty' | 'json' | 'github' | 'sarif'
  readonly denyWarnings?: true
  readonly live?: true
}

export function addValidate(program: Command): void {
  program
    .command('validate')
    .summary('find every problem in the configuration')
    .description(
      'Reads router.yaml and the route files and prints every problem at once.\nExit code 0: none; 1: some; 2: a file is missing or unreadable.',
    )
    .argument('[paths...]', 'route files or folders (default: all of routes/)')
    .addOption(new Option('--format <format>', 'how to print problems').choices(['pretty', 'json', 'github', 'sarif']).default('pretty'))
    .option('--deny-warnings', 'warnings fail too')
    .option('--live', 'ask the brokers too: do the topics exist, may they and the groups be read?')
    .addHelpText(
      'after',
      '\nExamples:\n  $ router validate\n  $ router validate routes/orders.yaml --format json --deny-warnings\n  $ router validate --format github\n',
    )
    .action(async (paths: readonly string[], _options: unknown, command: Command) => {
      process.exitCode = await validate(paths, command.optsWithGlobals<ValidateOptions>())
    })
}

async function validate(paths: readonly string[], options: ValidateOptions): Promise<number> {
  const [first] = paths
  const root = projectRoot(options, first === undefined ? undefined : dirname(resolve(first)))
  const named = paths.map(path => insideProject(root, path))
  const [{ validateProject }, { hasErrors }] = await Promise.all([
    import('../../runtime/validate-project.ts'),
    import('../../diagnostics/problem.ts'),
  ])
  const { project, plan, ...draft } = await validateProject({ root, env: process.env, ...(named.length === 0 ? {} : { paths: named }) })
  const live = options.live === true && !hasErrors(draft.problems) ? await askBrokers(root, project, plan) : undefined
  const problems = [...draft.problems, ...(live?.problems ?? [])]
  if (options.format !== 'pretty') print(await formatForPrograms(options.format, problems, folderFromHere(root)))
  else if (problems.length > 0) {
    const { formatPretty } = await import('../../diagnostics/format-pretty.ts')
    print(formatPretty(problems, project.sources, { color: hasColor(process.stdout) }))
  } else print(`${counted(project.routeFiles.length, 'route file')}, ${counted(countRoutes(project.routeFiles), 'route')}: no problems`)
  if (options.format === 'pretty')
    for (const { broker, topic, partitions, messages } of live?.topics ?? [])
      print(`${broker}: ${topic} has ${counted(partitions, 'partition')} and ${counted(messages, 'message')}`)
  return hasErrors(problems) || (options.denyWarnings === true && problems.length > 0) ? 1 : 0
}

/** A broker that lives inside the router has nothing to ask while no router runs. */
async function askBrokers(root: string, project: Project, plan: RoutingPlan): Promise<LiveCheck> {
  const [{ checkLive }, { openQuietBrokers }] = await Promise.all([import('../../testing/check-live.ts'), import('../quiet-brokers.ts')])
  const { router, brokers } = await openQuietBrokers(root)
  const asked = Object.keys(router.brokers).filter(name => router.brokers[name]?.type !== 'memory')
  try {
    return await checkLive({
      plan,
      documents: project.routeFiles,
      routerFile: project.routerFile,
      brokers: new Map(asked.map(name => [name, brokers.get(name, router)])),
    })
  } finally {
    await brokers.close()
  }
}

async function formatForPrograms(
  format: Exclude<ValidateOptions['format'], 'pretty'>,
  problems: readonly Problem[],
  folder: string,
): Promise<string> {
  switch (format) {
    case 'json':
      return (await import('../../diagnostics/format-json.ts')).formatJson(problems)
    case 'github':
      return (await import('../../diagnostics/format-github.ts')).formatGithub(problems, folder)
    case 'sarif':
      return (await import('../../diagnostics/format-sarif.ts')).formatSarif(problems, packageVersion(), folder)
  }
}

/** The project's folder as a prefix for its files: code hosts count paths from where the command runs, the repository's root. */
function folderFromHere(root: string): string {
  const folder = relative(process.cwd(), root).split(sep).join('/')
  return folder === '' || folder.startsWith('..') ? '' : `${folder}/`
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
