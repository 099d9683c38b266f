import type { RouterConfig } from '../config/router-config.ts'
import { problemAt, type SourceDocument } from '../config/source-document.ts'
import type { Problem } from '../diagnostics/problem.ts'
import { actionsOf, placeOfAction } from './action-place.ts'
import { mayMatch } from './channel-template.ts'
import type { RoutingPlan } from './plan.ts'

/** Broadcasts of `role: fanout` to channels whose history instances share: every instance sends them for itself, so that they are in no history. */
export function findUnkeptBroadcasts(
  { subscriptions }: RoutingPlan,
  { backplane, channels }: Pick<RouterConfig, 'backplane' | 'channels'>,
  documents: ReadonlyMap<string, SourceDocument>,
): readonly Problem[] {
  if (backplane.type === 'local') return []
  const kept = channels.filter(({ history }) => history !== undefined).map(({ pattern }) => pattern)
  return subscriptions
    .filter(({ role }) => role === 'fanout')
    .flatMap(actionsOf)
    .flatMap(placed => {
      const document = documents.get(placed.subscription.file)
      const channel = placed.action.action.targets.find(
        ({ kind, name }) => kind === 'channel' && kept.some(pattern => mayMatch(pattern, name)),
      )
      if (document === undefined || channel === undefined) return []
      const message = `What a \`role: fanout\` file broadcasts to \`${channel.name}\` is not in its history: instances share that, and each sends this for itself`
      const hint = 'Move it to a file with role: work, or to a channel without `history`'
      return [problemAt(document, placeOfAction(placed), 'fanout', message, { hint, severity: 'warning' })]
    })
}
