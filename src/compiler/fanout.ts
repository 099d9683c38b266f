import { actionsOf, sectionsWithActions, topicRetries } from './action-sections.ts'
import type { DeadLetterPolicy } from './plan.ts'
import type { Policies } from './policies.ts'
import type { SourceSection } from './source-section.ts'

/** What a subscription that every instance reads for itself cannot have, with the reason. */
const workOnly: Readonly<Record<string, string>> = {
  group: 'every process reads in a group of its own',
  deadLetter: 'every instance would write the dead letter: bad messages are counted',
  deadLetterOversize: 'every instance would write the dead letter: bad messages are counted',
  onFailure: 'bad messages are counted and skipped',
  idempotency: 'every instance handles every message',
}

/** Reports all that `role: fanout` excludes: it only broadcasts, once in every instance, to the sockets there. */
export function checkFanout(file: SourceSection): void {
  const withActions = sectionsWithActions(file)
  const actions = withActions.flatMap(actionsOf)
  for (const section of [file, file.section('defaults'), ...withActions, ...actions])
    for (const [key, reason] of Object.entries(workOnly))
      if (section.isReadable(key))
        section.report.atKey(section.pathOf(key), 'fanout', `\`${key}\` has no place under \`role: fanout\`: ${reason}`, 'Remove it')
  for (const retry of topicRetries(file))
    retry.report.at(
      retry.pathOf('mode'),
      'fanout',
      '`mode: topics` has no place under `role: fanout`: retry topics belong to a group, and every process reads without one',
      'Remove it',
    )
  if (file.value('unmatched') === 'dead-letter')
    file.report.at(
      file.pathOf('unmatched'),
      'fanout',
      '`unmatched: dead-letter` has no place under `role: fanout`: every instance would write the dead letter',
      'Write ignore, or actions that broadcast',
    )
  for (const action of actions)
    for (const key of ['invoke', 'emit', 'http'])
      if (action.isReadable(key))
        action.report.atKey(
          action.pathOf(key),
          'fanout',
          `\`role: fanout\` only broadcasts: \`${key}\` would run once in every instance`,
          'Move it to a file with role: work',
        )
}

/** Bad messages are counted and skipped, and retries wait in memory, whatever the app's defaults say. */
export function countingFailures(policies: Policies): { readonly policies: Policies; readonly deadLetter: DeadLetterPolicy } {
  return {
    policies: {
      ...policies,
      retry: { ...policies.retry, mode: 'in-order' },
      deadLetter: { topic: undefined, isOff: true, onFailure: 'skip', oversize: undefined },
    },
    deadLetter: { kind: 'none', onFailure: 'skip' },
  }
}
