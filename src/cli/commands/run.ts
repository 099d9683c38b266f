import type { Command } from 'commander'
import type { InspectorSettings } from '../../runtime/router-options.ts'
import { CommandFailure } from '../failure.ts'
import { portNumber } from '../flags.ts'
import { addIntakeFlags, type IntakeOptions, intakeOf } from '../intake-flags.ts'
import { logReload, logStart } from '../production-log.ts'
import { projectRoot } from '../project-root.ts'

interface RunOptions extends IntakeOptions {
  readonly inspectorPort?: number
}

const tokenName = 'SIGNALBOX_INSPECTOR_TOKEN'
const shortestToken = 16

export function addRun(program: Command): void {
  const command = program
    .command('run')
    .summary('run the router in production')
    .description(
      'Runs every subscription of the project until SIGTERM or Ctrl-C. Brokers that are not up yet are waited for.\nLogs go to stderr: JSON lines, or plain text on a terminal.',
    )
  addIntakeFlags(command, 'route files')
    .option(
      '--inspector-port <port>',
      `serve the inspector page on this port of 127.0.0.1, for whoever has the token in ${tokenName}`,
      portNumber,
    )
    .addHelpText(
      'after',
      '\nExamples:\n  $ router run --broker kafka --batch-size 100 --timeout 1000\n  $ router run --stop-when-empty --max-messages 10000\n',
    )
    .action(async (_options: unknown, self: Command) => {
      await run(self.optsWithGlobals<RunOptions>())
    })
}

async function run(options: RunOptions): Promise<void> {
  const root = projectRoot(options)
  const { runRouter } = await import('../router-session.ts')
  await runRouter({
    router: { ...intakeOf(options), root, mode: 'run', inspector: inspectorOf(options) },
    logLevel: options.logLevel,
    prettyLog: process.stderr.isTTY === true,
    onReload: logReload,
    onStarted: logStart,
  })
}

/** Throws CommandFailure where the page would be open to everybody on the machine. */
function inspectorOf({ inspectorPort: port }: RunOptions): InspectorSettings | undefined {
  if (port === undefined) return undefined
  const token = process.env[tokenName] ?? ''
  if (token.length < shortestToken)
    throw new CommandFailure(
      2,
      `--inspector-port needs a token of at least ${shortestToken} characters in ${tokenName}`,
      'openssl rand -hex 24 makes one',
    )
  return { port, token, isGuarded: true }
}
