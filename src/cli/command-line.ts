import { Command } from 'commander'
import { addBacktest } from './commands/backtest.ts'
import { addCompletion } from './commands/completion.ts'
import { addConsume } from './commands/consume.ts'
import { addDev } from './commands/dev.ts'
import { addDiff } from './commands/diff.ts'
import { addDlq } from './commands/dlq.ts'
import { addExplain } from './commands/explain.ts'
import { addGraph } from './commands/graph.ts'
import { addHelp } from './commands/help.ts'
import { addInit } from './commands/init.ts'
import { addOffsets } from './commands/offsets.ts'
import { addPublish } from './commands/publish.ts'
import { addRoutes } from './commands/routes.ts'
import { addRun } from './commands/run.ts'
import { addSchema } from './commands/schema.ts'
import { addTest } from './commands/test.ts'
import { addTypes } from './commands/types.ts'
import { addValidate } from './commands/validate.ts'
import { reportFailure } from './failure.ts'
import { packageVersion } from './package-files.ts'

/** Runs one command and sets `process.exitCode`; never throws. */
export async function runCommandLine(args: readonly string[]): Promise<void> {
  survivePipesThatClose()
  try {
    await createProgram().parseAsync(args, { from: 'user' })
  } catch (error) {
    process.exitCode = reportFailure(error)
  }
}

/** Commands load what they need when they run: `--help` and a mistyped flag answer at once. */
function createProgram(): Command {
  const program = new Command('router')
    .description('Routes broker events to WebSocket channels, handlers and topics as routes/*.yaml say.')
    .version(packageVersion())
    .option('--project <dir>', 'the project (default: the nearest folder upwards with router.yaml or routes/)')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(add --help for what there is)')
    .exitOverride()
    .addHelpText('after', '\nStart with:\n  $ router init my-router && cd my-router\n  $ router dev\n')
  addInit(program)
  addValidate(program)
  addExplain(program)
  addTest(program)
  addDiff(program)
  addBacktest(program)
  addRoutes(program)
  addGraph(program)
  addTypes(program)
  addDev(program)
  addRun(program)
  addConsume(program)
  addPublish(program)
  addDlq(program)
  addOffsets(program)
  addSchema(program)
  addCompletion(program)
  addHelp(program)
  return program
}

/** `router validate | head` ends quietly when `head` has seen enough. */
function survivePipesThatClose(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
    })
  }
}
