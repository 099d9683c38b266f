import type { Command } from 'commander'
import { addIntakeFlags, type IntakeOptions, intakeOf } from '../intake-flags.ts'
import { logReload, logStart } from '../production-log.ts'
import { projectRoot } from '../project-root.ts'

interface ConsumeOptions extends IntakeOptions {
  readonly channels: readonly string[]
  readonly topicPrefix: string
  readonly app?: string
}

export function addConsume(program: Command): void {
  const command = program
    .command('consume')
    .summary('topics straight to channels, without routes')
    .description(
      'Broadcasts each event of a topic on the channel that the topic belongs to: the topic of user.1 is realtime_user_1. Route files are\nnot read. Messages are { "id", "event", "data" }; what has no event or no data is not broadcast. Runs until SIGTERM or Ctrl-C.',
    )
    .requiredOption('--channels <names>', 'the channels, with commas between them', readChannels)
    .option(
      '--topic-prefix <text>',
      "what a topic's name has before the channel's; other characters than A-Z a-z 0-9 _ - become _",
      'realtime_',
    )
    .option('--app <id>', 'the app whose channels they are, where router.yaml has several')
  addIntakeFlags(command, 'none')
    .addHelpText(
      'after',
      '\nExamples:\n  $ router consume --channels user.1,public.news\n  $ router consume --channels user.1 --broker kafka --batch-size 500 --stop-when-empty\n',
    )
    .action(async (_options: unknown, self: Command) => {
      await consume(self.optsWithGlobals<ConsumeOptions>())
    })
}

async function consume(options: ConsumeOptions): Promise<void> {
  const root = projectRoot(options)
  const { channels, topicPrefix, app } = options
  const { runRouter } = await import('../router-session.ts')
  await runRouter({
    router: { ...intakeOf(options), root, mode: 'run', channels: { channels, topicPrefix, app } },
    logLevel: options.logLevel,
    prettyLog: process.stderr.isTTY === true,
    onReload: logReload,
    onStarted: logStart,
  })
}

/** Each once, however often it is named. */
function readChannels(text: string): readonly string[] {
  const names = text.split(',').map(name => name.trim())
  return [...new Set(names.filter(name => name !== ''))]
}
