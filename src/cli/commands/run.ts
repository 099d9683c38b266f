import type { Command } from 'commander'
import { addIntakeFlags, type IntakeOptions, intakeOf } from '../intake-flags.ts'
import { logReload, logStart } from '../production-log.ts'
import { projectRoot } from '../project-root.ts'

export function addRun(program: Command): void {
  const command = program
    .command('run')
    .summary('run the router in production')
    .description(
      'Runs every subscription of the project until SIGTERM or Ctrl-C. Brokers that are not up yet are waited for.\nLogs go to stderr: JSON lines, or plain text on a terminal.',
    )
  addIntakeFlags(command, 'route files')
    .addHelpText(
      'after',
      '\nExamples:\n  $ router run --broker kafka --batch-size 100 --timeout 1000\n  $ router run --stop-when-empty --max-messages 10000\n',
    )
    .action(async (_options: unknown, self: Command) => {
      await run(self.optsWithGlobals<IntakeOptions>())
    })
}

async function run(options: IntakeOptions): Promise<void> {
  const root = projectRoot(options)
  const { runRouter } = await import('../router-session.ts')
  await runRouter({
    router: { ...intakeOf(options), root, mode: 'run' },
    logLevel: options.logLevel,
    prettyLog: process.stderr.isTTY === true,
    onReload: logReload,
    onStarted: logStart,
  })
}
