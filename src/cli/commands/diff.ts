import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import type { ComparedSide } from '../../testing/compare-plans.ts'
import { hasColor, print } from '../output.ts'
import { type GlobalOptions, projectRoot } from '../project-root.ts'
import { openVersion } from '../project-version.ts'
import { soundProject } from '../sound-project.ts'

interface DiffOptions extends GlobalOptions {
  readonly format: 'pretty' | 'json'
}

export function addDiff(program: Command): void {
  program
    .command('diff')
    .summary('what an edit does to the routing')
    .description('Compares two versions of a project, each a folder or a git revision, and says in words what changes in the routing.')
    .argument('<old>', 'the version before: a folder, or a revision such as main or HEAD~1')
    .argument('[new]', 'the version after (default: the project as it is)')
    .addOption(new Option('--format <format>', 'how to print').choices(['pretty', 'json']).default('pretty'))
    .addHelpText('after', '\nExamples:\n  $ router diff main\n  $ router diff HEAD~1 HEAD --format json\n')
    .action(async (old: string, next: string | undefined, _options: unknown, command: Command) => {
      await diff(old, next, command.optsWithGlobals<DiffOptions>())
    })
}

async function diff(old: string, next: string | undefined, options: DiffOptions): Promise<void> {
  const root = projectRoot(options)
  const versions = [openVersion(root, old)]
  try {
    versions.push(next === undefined ? { root, remove: () => {} } : openVersion(root, next))
    const [from, to] = await Promise.all(
      versions.map((version, index) => compiled(version.root, [old, next ?? 'the project'][index] ?? '')),
    )
    if (from === undefined || to === undefined) return
    const [{ comparePlans }, { formatChanges }, { diffPlans }] = await Promise.all([
      import('../../testing/compare-plans.ts'),
      import('../../testing/format-changes.ts'),
      import('../../reload/plan-diff.ts'),
    ])
    const changes = comparePlans(from, to)
    const restarts = diffPlans(from.plan, to.plan).restarted.map(({ to: { name }, because }) => ({ subscription: name, because }))
    if (options.format === 'json') print(JSON.stringify({ ...changes, restarts }, null, 2))
    else print(formatChanges(changes, restarts, { color: hasColor(process.stdout) }))
  } finally {
    for (const version of versions) version.remove()
  }
}

async function compiled(root: string, name: string): Promise<ComparedSide> {
  const [{ project, plan }, { handlersOf }] = await Promise.all([
    soundProject(root, `${name} has errors: what it routes cannot be told`),
    import('../../runtime/blueprint.ts'),
  ])
  const files = new Map([...project.eventSchemas].map(([file, schema]) => [file, JSON.stringify(schema)]))
  for (const { module } of handlersOf(plan)) files.set(module, readFileSync(join(root, module), 'utf8'))
  return { plan, documents: project.routeFiles, files }
}
