import { type Command, Option } from 'commander'
import type { Blueprint } from '../../runtime/blueprint.ts'
import type { BacktestReport } from '../../testing/backtest.ts'
import type { BacktestHeading } from '../../testing/format-backtest.ts'
import type { PastRange } from '../../testing/past-records.ts'
import { wholeNumber } from '../flags.ts'
import { hasColor, print } from '../output.ts'
import { ProgressLine } from '../progress-line.ts'
import { type GlobalOptions, projectRoot } from '../project-root.ts'
import { openVersion } from '../project-version.ts'
import { soundProject } from '../sound-project.ts'

interface BacktestOptions extends GlobalOptions {
  readonly topic?: string
  readonly last?: number
  readonly since?: string
  readonly against: string
  readonly broker?: string
  readonly format: 'pretty' | 'json'
}

const usualMessages = 10_000

export function addBacktest(program: Command): void {
  program
    .command('backtest')
    .summary('what an edit would have done to past messages')
    .description(
      'Reads past messages from the broker, without a group, and runs two versions of the routes over them: an earlier one, and the\nproject as it is. Where `router dev` runs, its embedded broker is read, otherwise those of router.yaml.\nPrints what the routes would treat differently. Nothing is executed, and no offset moves.\nExit code 0, or 1 when an action cannot be rendered that could be before.',
    )
    .option('--topic <topic>', 'only this topic (default: all that the routes read)')
    .addOption(
      new Option('--last <n>', `how many messages, shared out over all partitions (default: ${usualMessages})`)
        .argParser(wholeNumber(1))
        .conflicts('since'),
    )
    .option('--since <time>', 'messages since then: 1h, 7d, or a time such as 2026-01-31T12:00:00Z')
    .option('--against <version>', 'the earlier version: a git revision or a folder', 'git:HEAD')
    .option('--broker <name>', 'read everything from this broker of router.yaml')
    .addOption(new Option('--format <format>', 'how to print').choices(['pretty', 'json']).default('pretty'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ router backtest --last 100000\n  $ router backtest --topic orders --since 1h --against git:main\n',
    )
    .action(async (_options: unknown, command: Command) => {
      process.exitCode = await backtest(command.optsWithGlobals<BacktestOptions>())
    })
}

async function backtest(options: BacktestOptions): Promise<number> {
  const root = projectRoot(options)
  const range = await readRange(options)
  const before = await earlierVersion(root, options.against)
  const after = await soundProject(root, 'the project has errors: mend them first (router validate)')
  const { report, heading } = await run(root, before, after, range, options)
  await show(report, heading, [...before.project.secrets, ...after.project.secrets], options.format)
  return report.routes.some(({ differences }) => differences.some(({ kind }) => kind === 'fails')) ? 1 : 0
}

async function readRange({ last, since }: BacktestOptions): Promise<PastRange> {
  if (since === undefined) return { kind: 'last', messages: last ?? usualMessages }
  const { pastTime } = await import('../past-time.ts')
  return { kind: 'since', timestamp: pastTime('--since', since) }
}

/** What is compiled needs its files no more. */
async function earlierVersion(root: string, name: string): Promise<Blueprint> {
  const version = openVersion(root, name)
  try {
    return await soundProject(version.root, `${name} has errors: what it routes cannot be told`)
  } finally {
    version.remove()
  }
}

interface Ran {
  readonly report: BacktestReport
  readonly heading: BacktestHeading
}

async function run(root: string, before: Blueprint, after: Blueprint, range: PastRange, options: BacktestOptions): Promise<Ran> {
  const [{ Backtest }, { openPastMessages }] = await Promise.all([import('../../testing/backtest.ts'), import('../past-messages.ts')])
  const subscriptions = [...before.plan.subscriptions, ...after.plan.subscriptions]
  const past = await openPastMessages({ root, subscriptions, topic: options.topic, broker: options.broker, range })
  const progress = new ProgressLine(past.count, 'messages')
  const test = new Backtest(before.plan, after.plan)
  try {
    const unread = await past.read((broker, record) => {
      test.take(broker, record)
      progress.show(test.messages)
    })
    return { report: test.report(), heading: { topics: past.topics, against: options.against, notes: [...past.notes, ...unread] } }
  } finally {
    progress.clear()
    await past.close()
  }
}

async function show(
  report: BacktestReport,
  heading: BacktestHeading,
  secrets: readonly string[],
  format: BacktestOptions['format'],
): Promise<void> {
  const { createRedactor, redactText } = await import('../../observe/redact.ts')
  if (format === 'json') {
    const line = createRedactor(() => secrets)(JSON.stringify({ ...heading, ...report }))
    print(JSON.stringify(JSON.parse(line), null, 2))
    return
  }
  const { formatBacktest } = await import('../../testing/format-backtest.ts')
  print(redactText(formatBacktest(report, heading, { color: hasColor(process.stdout) }), secrets))
}
