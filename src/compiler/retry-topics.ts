import type { Problem } from '../diagnostics/problem.ts'
import { topicRetries } from './action-sections.ts'
import { topicNameFault } from './name-place.ts'
import type { RetryPolicy, RetryTopic, RoutePlan, RoutingPlan } from './plan.ts'
import type { SourceSection } from './source-section.ts'

const infix = '.signalbox-retry-'

/** Topics wait for 500 ms, 1 s, 2 s, 4 s and so on: a group has few of them, whatever its retry policies say. */
const shortestMs = 500

/** True for a topic in which messages of this group wait for their next try. */
export function isRetryTopicOf(group: string, topic: string): boolean {
  return topic.startsWith(`${group}${infix}`)
}

/** True for the retry topics of any group. */
export function isRetryTopic(topic: string): boolean {
  return topic.includes(infix)
}

/** As the router makes it: several instances share its partitions. */
export function newRetryTopic(topic: string): { readonly topic: string; readonly partitions: number } {
  return { topic, partitions: 4 }
}

/** The topics that these routes of a file need, shortest wait first. */
export function retryTopicsIn(file: SourceSection, group: string, routes: readonly RoutePlan[]): readonly RetryTopic[] {
  const policies = routes.flatMap(route => route.actions.map(action => action.retry)).filter(({ mode }) => mode === 'topics')
  const steps = [...new Set(policies.flatMap(longestWaits).map(stepOf))].toSorted((a, b) => a - b)
  const topics = steps.map(longestMs => ({ topic: `${group}${infix}${stepName(longestMs)}`, longestMs }))
  const fault = topics.map(({ topic }) => topicNameFault(topic)).find(each => each !== undefined)
  if (fault === undefined) return topics
  const message = `The group's name makes no names for retry topics: ${fault}`
  file.report.at(file.pathOf(file.has('group') ? 'group' : 'topics'), 'topic-name', message, 'Give the file a shorter `group`')
  return []
}

const orderHint = 'Where the order of a key does not matter, say `ordering: none` in the file; else remove `mode: topics`'

/** Reports every `mode: topics` of a file that keeps an order otherwise. */
export function reportOrderGivenUp(file: SourceSection): void {
  for (const retry of topicRetries(file))
    file.report.warn(
      retry.pathOf('mode'),
      'retry-order',
      '`mode: topics` gives up the order of a key: while a message waits for its next try, later ones of its key go ahead',
      orderHint,
    )
}

/** The same where router.yaml says it for all files. */
export function orderGivenUpByDefault(plan: RoutingPlan): readonly Problem[] {
  const first = plan.subscriptions.find(({ retryTopics, ordering }) => retryTopics.length > 0 && ordering !== 'none')
  if (first === undefined) return []
  return [
    {
      code: 'retry-order',
      severity: 'warning',
      message: `\`defaults\` has \`mode: topics\`, which gives up the order of a key in ${first.file}`,
      file: 'router.yaml',
      hint: orderHint,
    },
  ]
}

/** The wait after each try but the last, before jitter. */
function longestWaits({ attempts, backoff, delayMs, maxDelayMs }: RetryPolicy): readonly number[] {
  const waits = new Set<number>()
  for (let attempt = 1; attempt < attempts; attempt++) {
    const growth = backoff === 'fixed' ? 1 : backoff === 'linear' ? attempt : 2 ** Math.min(attempt - 1, 52)
    const wait = Math.min(maxDelayMs, delayMs * growth)
    waits.add(wait)
    if (backoff === 'fixed' || wait === maxDelayMs) break
  }
  return [...waits]
}

function stepOf(waitMs: number): number {
  let step = shortestMs
  while (step < waitMs) step *= 2
  return step
}

function stepName(ms: number): string {
  return ms < 1_000 ? `${ms}ms` : `${ms / 1_000}s`
}
