import { type Command, Option } from 'commander'
import { CommandFailure } from '../failure.ts'
import { hasColor, print, printError } from '../output.ts'
import { type GlobalOptions, projectRoot } from '../project-root.ts'

interface ExplainOptions extends GlobalOptions {
  readonly topic?: string
  readonly message?: true
  readonly mock?: readonly string[]
  readonly format: 'pretty' | 'json'
}

export function addExplain(program: Command): void {
  program
    .command('explain')
    .summary('what the routes make of one message')
    .description(
      'Shows for each route of a topic whether it takes the message, why not, and what its actions would send.\nNothing is executed and no broker is needed.\nExit code 0, or 1 when an action cannot be rendered.',
    )
    .argument('<file>', "the message's value; - reads it from stdin")
    .option('--topic <topic>', 'where the message comes from (default: the only topic of the project)')
    .option('--message', 'the file is a whole message: { "headers": {}, "key": "7", "value": { ... } }')
    .option('--mock <handler=json>', 'what a handler is taken to return; repeatable', (one: string, all: readonly string[] = []) => [
      ...all,
      one,
    ])
    .addOption(new Option('--format <format>', 'how to print').choices(['pretty', 'json']).default('pretty'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ router explain event.json --topic orders\n  $ router explain message.json --topic orders --message --format json\n',
    )
    .action(async (file: string, _options: unknown, command: Command) => {
      process.exitCode = await explain(file, command.optsWithGlobals<ExplainOptions>())
    })
}

async function explain(file: string, options: ExplainOptions): Promise<number> {
  const root = projectRoot(options)
  const [
    { draftBlueprint },
    { explainMessage, explanationJson, hasRenderErrors, readsTopic },
    { formatExplanation },
    { originalOf, readMessageFile },
    diagnostics,
  ] = await Promise.all([
    import('../../runtime/blueprint.ts'),
    import('../../engine/explain.ts'),
    import('../../testing/format-explanation.ts'),
    import('../message-file.ts'),
    Promise.all([import('../../diagnostics/format-pretty.ts'), import('../../diagnostics/problem.ts')]),
  ])
  const [{ formatPretty }, { hasErrors }] = diagnostics
  const { project, plan, problems } = await draftBlueprint({ root, env: process.env, mode: 'validate' })
  if (hasErrors(problems)) {
    const errors = problems.filter(({ severity }) => severity === 'error')
    printError(formatPretty(errors, project.sources, { color: hasColor(process.stderr) }))
    return 1
  }
  const shape = options.message === true ? 'message' : 'value'
  const carrier = await readMessageFile(file, options.topic ?? '', shape)
  const isRead = plan.subscriptions.some(subscription => readsTopic(subscription, carrier.topic))
  // A file that reads dead letters by the name of their topic sees them as they lie there.
  const original = isRead ? undefined : originalOf(carrier)
  const record = original ?? { ...carrier, topic: options.topic ?? onlyTopic(plan.subscriptions) }
  const { topic } = record
  if (original !== undefined)
    printError(`note: a message that comes back: the routes see it as ${topic}/${record.partition}/${record.offset}`)
  const explanation = explainMessage(plan.subscriptions, record, { mocks: readMocks(options.mock ?? []) })
  if (options.format === 'json') print(JSON.stringify(explanationJson(explanation), null, 2))
  else print(formatExplanation(explanation, { color: hasColor(process.stdout) }))
  if (explanation.routes.length === 0 && explanation.unmatched === null)
    printError(`note: no route file reads the topic ${topic}${topicHint(plan.subscriptions)}`)
  return hasRenderErrors(explanation) ? 1 : 0
}

interface Listening {
  readonly topics: { readonly names: readonly string[]; readonly patterns: readonly unknown[] }
}

function onlyTopic(subscriptions: readonly Listening[]): string {
  const names = topicNames(subscriptions)
  const [only] = names
  if (only !== undefined && names.length === 1 && subscriptions.every(({ topics }) => topics.patterns.length === 0)) return only
  throw new CommandFailure(2, '--topic is missing', `say which topic the message comes from${topicHint(subscriptions)}`)
}

function topicNames(subscriptions: readonly Listening[]): readonly string[] {
  return [...new Set(subscriptions.flatMap(({ topics }) => topics.names))].sort()
}

function topicHint(subscriptions: readonly Listening[]): string {
  const names = topicNames(subscriptions)
  return names.length === 0 ? '' : `; topics are ${names.slice(0, 10).join(', ')}${names.length > 10 ? ', …' : ''}`
}

function readMocks(written: readonly string[]): ReadonlyMap<string, unknown> {
  const mocks = new Map<string, unknown>()
  for (const text of written) {
    const [, handler, json] = /^([^=]+)=(.*)$/s.exec(text) ?? []
    if (handler === undefined || json === undefined)
      throw new CommandFailure(2, `--mock ${text}: expected handler=json`, `--mock routes/handlers/receipt.ts='{"url": "/r/1"}'`)
    try {
      mocks.set(handler, JSON.parse(json))
    } catch (error) {
      throw new CommandFailure(2, `--mock ${handler}: what stands after = is not valid JSON`, undefined, error)
    }
  }
  return mocks
}
