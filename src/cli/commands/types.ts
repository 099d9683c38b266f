import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Command } from 'commander'
import { CommandFailure } from '../failure.ts'
import { hasColor, print, printError } from '../output.ts'
import { type GlobalOptions, projectRoot } from '../project-root.ts'

interface TypesOptions extends GlobalOptions {
  readonly out?: string
}

export function addTypes(program: Command): void {
  program
    .command('types')
    .summary('TypeScript types of events from their schemas')
    .description('Prints a TypeScript type for each JSON Schema that routes name, so that defineHandler<OrderCreated> is checked.')
    .option('--out <file>', 'write them to this file instead')
    .addHelpText('after', '\nExample:\n  $ router types --out handlers/events.ts\n')
    .action(async (_options: unknown, command: Command) => {
      await types(command.optsWithGlobals<TypesOptions>())
    })
}

async function types(options: TypesOptions): Promise<void> {
  const root = projectRoot(options)
  const [{ draftBlueprint }, { eventTypes }, { formatPretty }] = await Promise.all([
    import('../../runtime/blueprint.ts'),
    import('../../testing/event-types.ts'),
    import('../../diagnostics/format-pretty.ts'),
  ])
  const { project, plan, problems } = await draftBlueprint({ root, env: process.env, mode: 'validate' })
  // A handler may be missing while its types are being made: only the schemas themselves matter here.
  const faults = problems.filter(
    ({ severity, code }) => severity === 'error' && (code === 'json-schema-invalid' || code.startsWith('yaml-')),
  )
  if (faults.length > 0) {
    printError(formatPretty(faults, project.sources, { color: hasColor(process.stderr) }))
    throw new CommandFailure(1, 'no types are written while a schema has problems')
  }
  const text = await eventTypes({ root, plan, schemas: project.eventSchemas })
  if (options.out === undefined) {
    print(text)
    return
  }
  const file = resolve(options.out)
  try {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  } catch (error) {
    throw new CommandFailure(2, `${options.out} cannot be written`, undefined, error)
  }
  print(`wrote ${options.out}`)
}
