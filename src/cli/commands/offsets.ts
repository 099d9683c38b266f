import { type Command, Option } from 'commander'
import { selectsTopic } from '../../brokers/topic-name.ts'
import type { SubscriptionPlan } from '../../compiler/plan.ts'
import type { BrokerAccess } from '../broker-access.ts'
import { CommandFailure } from '../failure.ts'
import { wholeNumber } from '../flags.ts'
import type { GroupPosition } from '../group-positions.ts'
import { print } from '../output.ts'
import { type GlobalOptions, projectRoot } from '../project-root.ts'

interface OffsetsOptions extends GlobalOptions {
  readonly broker?: string
}

interface ShowOptions extends OffsetsOptions {
  readonly format: 'pretty' | 'json'
}

interface ResetOptions extends OffsetsOptions {
  readonly to: string
  readonly topic?: string
  readonly partition?: number
  readonly execute?: true
}

export function addOffsets(program: Command): void {
  const offsets = program
    .command('offsets')
    .summary('where each consumer group stands')
    .description('Shows and sets the committed offsets of the consumer groups of the project.')
  offsets
    .command('show')
    .summary('committed offsets and lag')
    .argument('[subscriptions...]', 'route files or groups (default: all)')
    .option('--broker <name>', 'a broker of router.yaml instead of its default')
    .addOption(new Option('--format <format>', 'how to print').choices(['pretty', 'json']).default('pretty'))
    .action(async (names: readonly string[], _options: unknown, command: Command) => show(names, command.optsWithGlobals<ShowOptions>()))
  offsets
    .command('reset')
    .summary('let a group go on somewhere else')
    .description(
      'Says where a group would go on, and with --execute makes it so. Nobody may read in the group meanwhile: stop its routers\nfirst. A `router dev` with its embedded broker stops that consumer by itself, and starts it again.',
    )
    .argument('<subscription>', 'a route file or a group')
    .requiredOption('--to <position>', 'earliest, latest, a time such as 2026-01-31T12:00:00Z, 1h (ago), or an offset')
    .option('--topic <topic>', 'only this topic')
    .option('--partition <n>', 'only this partition', wholeNumber(0))
    .option('--broker <name>', 'a broker of router.yaml instead of its default')
    .option('--execute', 'do it; without this nothing changes')
    .addHelpText(
      'after',
      '\nExamples:\n  $ router offsets show\n  $ router offsets reset orders --to 2h\n  $ router offsets reset orders --to earliest --execute\n',
    )
    .action(async (name: string, _options: unknown, command: Command) => reset(name, command.optsWithGlobals<ResetOptions>()))
}

async function show(names: readonly string[], options: ShowOptions): Promise<void> {
  await withSubscriptions(options, async (access, all) => {
    const [{ groupPositions }, { textTable }] = await Promise.all([import('../group-positions.ts'), import('../text-table.ts')])
    const chosen = names.length === 0 ? all : names.map(name => named(all, name))
    const positions: GroupPosition[] = []
    for (const plan of chosen) positions.push(...(await groupPositions(access, plan)))
    if (options.format === 'json') {
      print(JSON.stringify(positions, null, 2))
      return
    }
    const rows = positions.map(({ group, topic, partition, committed, end, lag }) => [
      group,
      topic,
      String(partition),
      committed === null ? '-' : String(committed),
      String(end),
      lag === null ? '-' : String(lag),
    ])
    print(rows.length === 0 ? 'no topics yet' : textTable(['GROUP', 'TOPIC', 'PARTITION', 'COMMITTED', 'END', 'LAG'], rows))
  })
}

async function reset(name: string, options: ResetOptions): Promise<void> {
  await withSubscriptions(options, async (access, all) => {
    const [{ groupPositions, targetOffsets }, { textTable }] = await Promise.all([
      import('../group-positions.ts'),
      import('../text-table.ts'),
    ])
    const plan = named(all, name)
    const chosen = (await groupPositions(access, plan)).filter(
      ({ topic, partition }) =>
        // What waits for a retry or a replay goes on where it is, unless it is meant by name.
        (options.topic === undefined ? selectsTopic(plan.topics, topic) : options.topic === topic) &&
        (options.partition === undefined || options.partition === partition),
    )
    if (chosen.length === 0) throw new CommandFailure(2, 'there is nothing to reset', `\`router offsets show ${name}\` says what there is`)
    const targets = await targetOffsets(access, chosen, options.to)
    const rows = targets.map(({ position, offset }) => [
      position.topic,
      String(position.partition),
      position.committed === null ? '-' : String(position.committed),
      String(offset),
      difference(position, offset),
    ])
    print(textTable(['TOPIC', 'PARTITION', 'FROM', 'TO', ''], rows))
    if (options.execute !== true) {
      print(`\nnothing was changed: add --execute to set the group ${plan.group} so`)
      return
    }
    await access.setOffsets(
      plan.group,
      targets.map(({ position: { topic, partition }, offset }) => ({ topic, partition, offset })),
    )
    print(`\nthe group ${plan.group} goes on there`)
  })
}

function difference({ committed }: GroupPosition, offset: number): string {
  if (committed === null || committed === offset) return ''
  const count = Math.abs(committed - offset)
  return committed > offset ? `${count} again` : `${count} left out`
}

/** By the file's name, its path or its group. */
function named(all: readonly SubscriptionPlan[], name: string): SubscriptionPlan {
  const found = all.find(plan => [plan.name, plan.file, plan.group].includes(name))
  if (found !== undefined) return found
  throw new CommandFailure(2, `no route file is or has the group ${name}`, `there are ${all.map(plan => plan.name).join(', ')}`)
}

async function withSubscriptions(
  options: OffsetsOptions,
  work: (access: BrokerAccess, plans: readonly SubscriptionPlan[]) => Promise<void>,
): Promise<void> {
  const root = projectRoot(options)
  const [{ soundProject }, { openBrokerAccess }] = await Promise.all([import('../sound-project.ts'), import('../broker-access.ts')])
  const { plan } = await soundProject(root, 'the project has errors: mend them first (router validate)')
  const access = await openBrokerAccess(root, options.broker)
  try {
    const shared = plan.subscriptions.filter(({ role }) => role === 'work')
    await work(
      access,
      shared.filter(({ broker }) => access.broker === undefined || broker === access.broker),
    )
  } finally {
    await access.close()
  }
}
