import type { Command } from 'commander'
import type { Logger } from '../../observe/logger.ts'
import type { ReloadResult, RunningRouter } from '../../runtime/router-options.ts'
import { logLevelOption, portNumber, wholeNumber } from '../flags.ts'
import { type GlobalOptions, projectRoot } from '../project-root.ts'

interface RunOptions extends GlobalOptions {
  readonly broker?: string
  readonly batchSize?: number
  readonly timeout?: number
  readonly maxMessages?: number
  readonly stopWhenEmpty?: true
  readonly port?: number
  readonly logLevel: string
}

export function addRun(program: Command): void {
  program
    .command('run')
    .summary('run the router in production')
    .description(
      'Runs every subscription of the project until SIGTERM or Ctrl-C. Brokers that are not up yet are waited for.\nLogs go to stderr: JSON lines, or plain text on a terminal.',
    )
    .option('--broker <name>', 'the broker of route files that name none')
    .option('--batch-size <n>', 'most messages taken at once', wholeNumber(1))
    .option('--timeout <ms>', 'longest wait for a fetch on a quiet topic', wholeNumber(1))
    .option('--max-messages <n>', 'stop after this many messages (0: no limit)', wholeNumber(0))
    .option('--stop-when-empty', 'stop when every topic is read to its end')
    .option('--port <port>', "the WebSocket server's port instead of router.yaml's", portNumber)
    .addOption(logLevelOption())
    .addHelpText(
      'after',
      '\nExamples:\n  $ router run --broker kafka --batch-size 100 --timeout 1000\n  $ router run --stop-when-empty --max-messages 10000\n',
    )
    .action(async (_options: unknown, command: Command) => {
      await run(command.optsWithGlobals<RunOptions>())
    })
}

async function run(options: RunOptions): Promise<void> {
  const root = projectRoot(options)
  const { runRouter } = await import('../router-session.ts')
  await runRouter({
    router: {
      root,
      mode: 'run',
      broker: options.broker,
      batchSize: options.batchSize,
      timeoutMs: options.timeout,
      maxMessages: options.maxMessages,
      stopWhenEmpty: options.stopWhenEmpty,
      port: options.port,
    },
    logLevel: options.logLevel,
    prettyLog: process.stderr.isTTY === true,
    onReload: logReload,
    onStarted: logStart,
  })
}

function logStart(router: RunningRouter, log: Logger): void {
  log.info(router.address, 'listening')
  void router.ready.then(() => log.info('ready: every subscription has joined its group'))
}

function logReload(result: ReloadResult, log: Logger): void {
  if (result.kind === 'applied') log.info({ generation: result.generation, changes: result.summary }, 'the edited configuration is at work')
  if (result.kind === 'rejected') log.error('the edited configuration has problems: the one before it goes on')
  if (result.kind === 'unchanged') return
  for (const { severity, code, message, file, range, hint } of result.problems) {
    const place = range === undefined ? file : `${file}:${range.start.line}:${range.start.column}`
    log[severity === 'error' ? 'error' : 'warn']({ code, place, ...(hint === undefined ? {} : { hint }) }, message)
  }
}
