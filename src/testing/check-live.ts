import { type Broker, BrokerError } from '../brokers/broker.ts'
import type { RoutePlan, RoutingPlan, SubscriptionPlan } from '../compiler/plan.ts'
import { newRetryTopic } from '../compiler/retry-topics.ts'
import { didYouMean } from '../config/did-you-mean.ts'
import { problemAt, type SourceDocument, type ValuePath } from '../config/source-document.ts'
import type { Problem } from '../diagnostics/problem.ts'
import { readPast } from './past-records.ts'

/** A topic as the broker has it. */
export interface LiveTopic {
  readonly broker: string
  readonly topic: string
  readonly partitions: number
  /** That are still kept. */
  readonly messages: number
}

export interface LiveCheck {
  readonly problems: readonly Problem[]
  /** Topics that routes read and that exist, by name. */
  readonly topics: readonly LiveTopic[]
}

export interface LiveCheckOptions {
  readonly plan: RoutingPlan
  readonly documents: readonly SourceDocument[]
  /** router.yaml, where there is one. */
  readonly routerFile: SourceDocument | undefined
  /** Brokers to ask by name; what others have cannot be told. */
  readonly brokers: ReadonlyMap<string, Broker>
}

/** Asks brokers for what the routes name: whether topics exist, and whether they and the groups may be read. Nothing is created, and no offset moves. */
export async function checkLive({ plan, documents, routerFile, brokers }: LiveCheckOptions): Promise<LiveCheck> {
  const checks = [...brokers].map(async ([name, broker]) => {
    const uses = usesOf(plan, documents, name)
    if (uses.length === 0) return { problems: [], topics: [] }
    try {
      await broker.connect()
      return await checkBroker(broker, name, uses, plan)
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      return { problems: [brokerProblem(error, name, routerFile, documents)], topics: [] }
    }
  })
  const found = await Promise.all(checks)
  return { problems: found.flatMap(({ problems }) => problems), topics: found.flatMap(({ topics }) => topics) }
}

/** One place of a file that names a topic or a group. */
interface Use {
  readonly kind: 'read' | 'group' | 'emit' | 'dead-letter' | 'retry'
  readonly name: string
  readonly document: SourceDocument
  readonly path: ValuePath
}

async function checkBroker(broker: Broker, name: string, uses: readonly Use[], plan: RoutingPlan): Promise<LiveCheck> {
  const existing = await broker.listTopics()
  const problems: Problem[] = []
  const topics = new Map<string, LiveTopic>()
  const refusals = new Map<string, string | undefined>()
  for (const use of uses) {
    if (use.kind === 'group' || existing.includes(use.name)) {
      if (use.kind === 'emit' || use.kind === 'dead-letter') continue
      const key = `${use.kind}/${use.name}`
      if (!refusals.has(key))
        refusals.set(key, await refusalOf(use.kind === 'group' ? askGroup(broker, use.name) : askTopic(broker, name, use.name, topics)))
      const refusal = refusals.get(key)
      if (refusal !== undefined) problems.push(refused(use, refusal))
    } else if (use.kind === 'retry') problems.push(...(await missingRetryTopic(broker, use)))
    else problems.push(await missingTopic(broker, name, use, existing))
  }
  for (const subscription of plan.subscriptions.filter(each => each.broker === name))
    problems.push(...silentPatterns(subscription, existing, uses))
  return { problems, topics: [...topics.values()] }
}

function refused({ kind, name, document, path }: Use, refusal: string): Problem {
  return problemAt(document, path, 'broker-refused', `The ${kind === 'group' ? 'group' : 'topic'} \`${name}\` is refused: ${refusal}`)
}

async function refusalOf(question: Promise<void>): Promise<string | undefined> {
  try {
    await question
    return undefined
  } catch (error) {
    if (error instanceof BrokerError) return error.message
    throw error
  }
}

async function askGroup(broker: Broker, group: string): Promise<void> {
  await broker.committedOffsets(group, [])
}

/** Reads one record where there is one: that a topic can be described does not mean that it may be read. */
async function askTopic(broker: Broker, name: string, topic: string, topics: Map<string, LiveTopic>): Promise<void> {
  const offsets = await broker.topicOffsets(topic)
  const messages = offsets.reduce((sum, { low, high }) => sum + high - low, 0)
  topics.set(topic, { broker: name, topic, partitions: offsets.length, messages })
  const filled = offsets.find(({ low, high }) => low < high)
  if (filled === undefined) return
  const { partition, high } = filled
  await readPast({ broker, parts: [{ topic, partition, start: high - 1, end: high }] }, () => {})
}

/** Kafka does not list a topic that the user may not see: asking for it by name tells the two apart. */
async function missingTopic(broker: Broker, name: string, use: Use, existing: readonly string[]): Promise<Problem> {
  const refusal = await refusalOf(broker.topicOffsets(use.name).then(() => undefined))
  if (refusal !== undefined) return refused(use, refusal)
  const meant = didYouMean(use.name, existing)
  const message = `The topic \`${use.name}\` does not exist at the broker ${name}`
  if (use.kind === 'read')
    return problemAt(use.document, use.path, 'topic-missing', message, {
      hint: meant === undefined ? 'Create it, or correct its name' : `Did you mean \`${meant}\`?`,
    })
  const until = use.kind === 'emit' ? 'emits to it are retried until it does' : 'a message that fails waits until it does'
  return problemAt(use.document, use.path, 'topic-missing', `${message}: ${until}`, {
    severity: 'warning',
    hint: meant === undefined ? 'Create it, unless the broker creates topics by itself' : `Did you mean \`${meant}\`?`,
  })
}

/** The router makes its retry topics when it starts: a missing one is a problem only where it may not. */
async function missingRetryTopic(broker: Broker, { name, document, path }: Use): Promise<readonly Problem[]> {
  const refusal =
    (await refusalOf(broker.topicOffsets(name).then(() => undefined))) ?? (await refusalOf(broker.assertCreatable([newRetryTopic(name)])))
  if (refusal === undefined) return []
  const message = `The retry topic \`${name}\` is not there to be seen and may not be made: ${refusal}`
  const hint = 'Create it and let the router read and write it; where it is missing, a message that fails waits until it is there'
  return [problemAt(document, path, 'broker-refused', message, { hint })]
}

function silentPatterns({ topics, file }: SubscriptionPlan, existing: readonly string[], uses: readonly Use[]): readonly Problem[] {
  const document = uses.find(use => use.document.file === file)?.document
  if (document === undefined) return []
  return topics.patterns
    .filter(pattern => !existing.some(topic => pattern.matches(topic)))
    .map(({ source }) =>
      problemAt(document, ['topics'], 'topic-missing', `No topic matches the pattern ${source}`, {
        severity: 'warning',
        hint: 'Topics that match later are read from their start',
      }),
    )
}

function brokerProblem(
  error: BrokerError,
  name: string,
  routerFile: SourceDocument | undefined,
  documents: readonly SourceDocument[],
): Problem {
  const document = routerFile ?? documents[0]
  if (document === undefined) return { code: 'broker-refused', severity: 'error', message: error.message, file: 'router.yaml' }
  return problemAt(document, routerFile === undefined ? ['broker'] : ['brokers', name], 'broker-refused', error.message)
}

function usesOf(plan: RoutingPlan, documents: readonly SourceDocument[], broker: string): readonly Use[] {
  return plan.subscriptions.flatMap(subscription => {
    const document = documents.find(({ file }) => file === subscription.file)
    if (document === undefined) return []
    const own =
      subscription.broker === broker
        ? [...readUses(subscription, document), ...deadLetterUses(subscription, document), ...retryUses(subscription, document)]
        : []
    return [...own, ...emitUses(subscription, document, broker)]
  })
}

function readUses({ topics, group, role }: SubscriptionPlan, document: SourceDocument): readonly Use[] {
  const written = Reflect.get(Object(document.value), 'topics')
  const pathOf = (topic: string): ValuePath =>
    Array.isArray(written) && written.includes(topic) ? ['topics', written.indexOf(topic)] : ['topics']
  const reads = topics.names.map(name => ({ kind: 'read' as const, name, document, path: pathOf(name) }))
  return role === 'fanout' ? reads : [...reads, { kind: 'group', name: group, document, path: ['group'] }]
}

function emitUses(subscription: SubscriptionPlan, document: SourceDocument, broker: string): readonly Use[] {
  return routesOf(subscription).flatMap(({ route, path }) =>
    route.actions.flatMap(({ action, position }) =>
      action.targets.flatMap(target =>
        target.kind === 'topic' && target.isConstant && target.broker === broker
          ? [{ kind: 'emit' as const, name: target.name, document, path: [...path, 'actions', position, 'emit'] }]
          : [],
      ),
    ),
  )
}

/** Each dead-letter topic once, at the first thing that names it. */
function deadLetterUses(subscription: SubscriptionPlan, document: SourceDocument): readonly Use[] {
  const uses = new Map<string, Use>()
  const add = ({ deadLetter }: Pick<RoutePlan, 'deadLetter'>, path: ValuePath) => {
    if (deadLetter.kind === 'none') return
    for (const name of deadLetter.topic === undefined ? subscription.topics.names.map(topic => `${topic}.dlq`) : [deadLetter.topic])
      if (!uses.has(name)) uses.set(name, { kind: 'dead-letter', name, document, path: deadLetter.topic === undefined ? ['topics'] : path })
  }
  add(subscription, ['defaults', 'deadLetter'])
  for (const { route, path } of routesOf(subscription)) {
    add(route, [...path, 'deadLetter'])
    for (const action of route.actions) add(action, [...path, 'actions', action.position, 'deadLetter'])
  }
  return [...uses.values()]
}

/** At the first `mode: topics` of the file; where router.yaml says it, at the file's topics. */
function retryUses(subscription: SubscriptionPlan, document: SourceDocument): readonly Use[] {
  if (subscription.role === 'fanout' || subscription.retryTopics.length === 0) return []
  const holders: readonly ValuePath[] = [
    ['defaults'],
    ...routesOf(subscription).flatMap(({ route, path }) => [path, ...route.actions.map(({ position }) => [...path, 'actions', position])]),
  ]
  const path = holders.map(holder => [...holder, 'retry', 'mode']).find(each => valueAt(document, each) === 'topics') ?? ['topics']
  return subscription.retryTopics.map(({ topic }) => ({ kind: 'retry', name: topic, document, path }))
}

function valueAt({ value }: SourceDocument, path: ValuePath): unknown {
  return path.reduce<unknown>(
    (at, part) => (typeof at === 'object' && at !== null && Object.hasOwn(at, part) ? Reflect.get(at, part) : undefined),
    value,
  )
}

function routesOf({ routes, unmatched }: SubscriptionPlan): readonly { readonly route: RoutePlan; readonly path: ValuePath }[] {
  const named = routes.map(route => ({ route, path: ['routes', route.name] as const }))
  return unmatched.policy === 'actions' ? [...named, { route: unmatched.route, path: ['unmatched'] }] : named
}
