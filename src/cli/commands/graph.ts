import { type Command, Option } from 'commander'
import { print } from '../output.ts'
import { type GlobalOptions, projectRoot } from '../project-root.ts'
import { soundProject } from '../sound-project.ts'

interface GraphOptions extends GlobalOptions {
  readonly format: 'mermaid' | 'dot'
}

export function addGraph(program: Command): void {
  program
    .command('graph')
    .summary('topics, routes and outputs as a picture')
    .description('Prints what flows from which topic through which route to which channel, handler and topic, for Mermaid or Graphviz.')
    .addOption(new Option('--format <format>', 'the language of the picture').choices(['mermaid', 'dot']).default('mermaid'))
    .addHelpText('after', '\nExamples:\n  $ router graph > routes.mmd\n  $ router graph --format dot | dot -Tsvg > routes.svg\n')
    .action(async (_options: unknown, command: Command) => {
      await graph(command.optsWithGlobals<GraphOptions>())
    })
}

async function graph(options: GraphOptions): Promise<void> {
  const root = projectRoot(options)
  const [{ plan }, { flowGraph, toDot, toMermaid }] = await Promise.all([
    soundProject(root, 'a project with errors has no whole picture'),
    import('../../compiler/flow-graph.ts'),
  ])
  print(options.format === 'dot' ? toDot(flowGraph(plan)) : toMermaid(flowGraph(plan)))
}
