import { type Command, Option } from 'commander'
import type { Blueprint } from '../../runtime/blueprint.ts'
import type { BrokerAccess } from '../broker-access.ts'
import type { DeadLetter, LetterFilter, LetterSearch } from '../dead-letters.ts'
import { CommandFailure } from '../failure.ts'
import { wholeNumber } from '../flags.ts'
import { print, printError } from '../output.ts'
import { ProgressLine } from '../progress-line.ts'
import { type GlobalOptions, projectRoot } from '../project-root.ts'

interface FilterOptions extends GlobalOptions {
  readonly topic?: readonly string[]
  readonly route?: string
  readonly error?: string
  readonly since?: string
  readonly until?: string
  readonly last?: number
  readonly broker?: string
}

interface ListOptions extends FilterOptions {
  readonly format: 'pretty' | 'json'
}

interface ReplayOptions extends FilterOptions {
  readonly all?: true
  readonly again?: true
  readonly toTopic?: true
  readonly dryRun?: true
}

export function addDlq(program: Command): void {
  const dlq = program
    .command('dlq')
    .summary('look at dead letters, and send them back')
    .description(
      'Reads the dead-letter topics of the project, at the broker or inside the `router dev` that runs for it. Nothing is ever deleted.',
    )
  addFilters(dlq.command('list').summary('what lies there').description('Lists dead letters, oldest first.'), `${usualLast}`)
    .addOption(new Option('--format <format>', 'how to print').choices(['pretty', 'json']).default('pretty'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ router dlq list --route orders/order-created --since 1h\n  $ router dlq list --error timeout --format json\n',
    )
    .action(async (_options: unknown, command: Command) => list(command.optsWithGlobals<ListOptions>()))
  dlq
    .command('show')
    .summary('one dead letter with everything in it')
    .argument('<letter>', 'as `list` names it: orders.dlq/0/12')
    .option('--broker <name>', 'a broker of router.yaml instead of its default')
    .action(async (letter: string, _options: unknown, command: Command) => show(letter, command.optsWithGlobals<FilterOptions>()))
  addFilters(
    dlq
      .command('replay')
      .summary('send dead letters back')
      .description(
        'Sends dead letters back to their consumer group: only the route that failed runs, from the failed action on. A letter that was\nreplayed before is left out, and so is one that failed again after a replay.',
      )
      .argument('[letters...]', 'as `list` names them'),
    'all',
  )
    .option('--all', 'everything that is there')
    .option('--again', 'also what was replayed before')
    .option('--to-topic', 'to the topic they came from instead: every group that reads it gets them, and all routes run')
    .option('--dry-run', 'only say what would be sent')
    .addHelpText('after', '\nExamples:\n  $ router dlq replay --route order-created --dry-run\n  $ router dlq replay orders.dlq/0/12\n')
    .action(async (letters: readonly string[], _options: unknown, command: Command) =>
      replay(letters, command.optsWithGlobals<ReplayOptions>()),
    )
}

const usualLast = 10_000

function addFilters(command: Command, usual: string): Command {
  return command
    .option('--topic <topics...>', 'these dead-letter topics (default: all that the routes name, and every *.dlq)')
    .option('--route <route>', 'only of this route')
    .option('--error <text>', "only with this in the error's type or message")
    .option('--since <time>', 'only since then: 1h, 7d, or a time such as 2026-01-31T12:00:00Z')
    .option('--until <time>', 'only before then')
    .option('--last <n>', `look at the newest n of each partition (default: ${usual})`, wholeNumber(1))
    .option('--broker <name>', 'a broker of router.yaml instead of its default')
}

async function list(options: ListOptions): Promise<void> {
  await withAccess(options, async opened => {
    const { access, redact } = opened
    const [{ planSearch, readLetters }, { listJson, listTable, olderLine }] = await Promise.all([
      import('../dead-letters.ts'),
      import('../format-letters.ts'),
    ])
    const last = options.last ?? usualLast
    const filter = { ...(await letterFilter(opened, options)), last }
    const search = await planSearch(access, filter)
    const letters: DeadLetter[] = []
    await readWithProgress(search, receive =>
      readLetters(access, search, filter, async (page, records) => {
        letters.push(...page)
        receive(records)
      }),
    )
    print(redact(options.format === 'json' ? listJson(letters) : listTable(letters)))
    if (search.older > 0) printError(olderLine(search.older, last))
  })
}

async function show(id: string, options: FilterOptions): Promise<void> {
  const place = parseId(id)
  await withAccess(options, async ({ access, redact }) => {
    const { readNamedLetters, withMessage } = await import('../dead-letters.ts')
    const [letter] = await readNamedLetters(access, [place])
    if (letter === undefined) throw new CommandFailure(2, `there is no letter ${id}`)
    const { showLetter } = await import('../format-letters.ts')
    print(redact(showLetter((await withMessage(access, letter)) ?? letter)))
  })
}

async function replay(ids: readonly string[], options: ReplayOptions): Promise<void> {
  const { topic, route, error, since, until, all, again, toTopic, dryRun } = options
  if (ids.length === 0 && all === undefined && [topic, route, error, since, until].every(each => each === undefined))
    throw new CommandFailure(2, 'which letters?', 'name them as `router dlq list` does, use its filters, or say --all')
  const places = [...new Set(ids)].map(parseId)
  await withAccess(options, async opened => {
    const { access, blueprint, redact } = opened
    const [{ passes, planSearch, readLetters, readNamedLetters }, { LetterReplay }, { leftLines, replayTable }] = await Promise.all([
      import('../dead-letters.ts'),
      import('../replay-letters.ts'),
      import('../format-letters.ts'),
    ])
    const groups = new Set(blueprint.plan.subscriptions.map(({ group }) => group))
    const replaying = new LetterReplay(access, { toTopic: toTopic === true, again: again === true, dryRun: dryRun === true, groups })
    if (places.length > 0) {
      const filter = await letterFilter(opened, { ...options, topic: places.map(place => place.topic) })
      const letters = (await readNamedLetters(access, places)).filter(letter => passes(letter, filter))
      const missing = ids.filter(id => !letters.some(letter => letter.id === id))
      if (missing.length > 0) throw new CommandFailure(2, `there is no letter ${missing.join(', ')}`, 'filters apply to named letters too')
      await replaying.take(letters)
    } else {
      const filter = await letterFilter(opened, options)
      const search = await planSearch(access, filter)
      await readWithProgress(search, receive =>
        readLetters(access, search, filter, async (letters, records) => {
          await replaying.take(letters)
          receive(records)
        }),
      )
    }
    if (replaying.shown.length > 0) print(redact(replayTable(replaying.shown, replaying.sent)))
    for (const line of leftLines(replaying.left, replaying.leftCount)) printError(redact(line))
    const count = `${replaying.sent} ${replaying.sent === 1 ? 'letter' : 'letters'}`
    print(dryRun === true ? `${count} would be sent (${access.name}); nothing was` : `${count} sent (${access.name})`)
  })
}

/** `receive` is told how many records each page has. */
async function readWithProgress({ parts }: LetterSearch, read: (receive: (records: number) => void) => Promise<void>): Promise<void> {
  const progress = new ProgressLine(
    parts.reduce((sum, { start, end }) => sum + end - start, 0),
    'records read',
  )
  let done = 0
  const receive = (records: number): void => {
    done += records
    progress.show(done)
  }
  await read(receive).finally(() => progress.clear())
}

interface Opened {
  readonly access: BrokerAccess
  readonly blueprint: Blueprint
  readonly redact: (text: string) => string
}

/** The project may have errors: what went wrong before can be looked at all the same. */
async function withAccess(options: GlobalOptions & { readonly broker?: string }, work: (opened: Opened) => Promise<void>): Promise<void> {
  const root = projectRoot(options)
  const [{ draftBlueprint }, { openBrokerAccess }, { redactText }] = await Promise.all([
    import('../../runtime/blueprint.ts'),
    import('../broker-access.ts'),
    import('../../observe/redact.ts'),
  ])
  const blueprint = await draftBlueprint({ root, env: process.env, mode: 'validate' })
  const access = await openBrokerAccess(root, options.broker)
  try {
    await work({ access, blueprint, redact: text => redactText(text, blueprint.project.secrets) })
  } finally {
    await access.close()
  }
}

/** Topics that do not exist are said and left out. */
async function letterFilter({ access, blueprint }: Opened, options: FilterOptions): Promise<LetterFilter> {
  const [{ deadLetterTopics }, { pastTime }] = await Promise.all([import('../dead-letters.ts'), import('../past-time.ts')])
  const existing = new Set(await access.listTopics())
  const topics = [...new Set(options.topic ?? (await deadLetterTopics(access, blueprint.plan)))]
  for (const topic of topics.filter(each => !existing.has(each))) printError(`warning: the topic ${topic} does not exist (${access.name})`)
  return {
    topics: topics.filter(topic => existing.has(topic)),
    route: options.route,
    error: options.error,
    since: options.since === undefined ? undefined : pastTime('--since', options.since),
    until: options.until === undefined ? undefined : pastTime('--until', options.until),
    last: options.last,
  }
}

function parseId(id: string): { readonly topic: string; readonly partition: number; readonly start: number } {
  const [, topic = '', partition = '', offset = ''] = /^([A-Za-z0-9._-]+)\/(\d+)\/(\d+)$/.exec(id) ?? []
  if (topic === '' || !Number.isSafeInteger(Number(offset))) throw new CommandFailure(2, `${id} is no letter`, 'such as orders.dlq/0/12')
  return { topic, partition: Number(partition), start: Number(offset) }
}
