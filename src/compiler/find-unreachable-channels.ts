import type { AppConfig, ChannelRule, ServerConfig } from '../config/router-config.ts'
import { problemAt, type SourceDocument } from '../config/source-document.ts'
import type { Problem } from '../diagnostics/problem.ts'
import { actionsOf, type PlacedAction, placeOfAction } from './action-place.ts'
import { mayMatch } from './channel-template.ts'
import type { RoutingPlan } from './plan.ts'

export interface ChannelSurroundings {
  readonly server: ServerConfig
  readonly rules: readonly ChannelRule[]
  /** Apps that are written without a `secret` and without `jwt`: nobody can sign for them. */
  readonly unsigned: readonly AppConfig[]
}

/** Broadcasts to channels that no client could ever subscribe to; a mistake in router.yaml is reported once, for the first of them. */
export function findUnreachableChannels(
  { subscriptions }: RoutingPlan,
  around: ChannelSurroundings,
  documents: ReadonlyMap<string, SourceDocument>,
): readonly Problem[] {
  const problems: Problem[] = []
  const reported = new Set<string>()
  for (const placed of subscriptions.flatMap(actionsOf)) {
    const document = documents.get(placed.subscription.file)
    if (document === undefined) continue
    for (const target of placed.action.action.targets) {
      if (target.kind !== 'channel') continue
      const app = around.unsigned.find(({ id }) => id === target.app)
      if (app !== undefined && !reported.has(app.id) && needsSignature(target.name, around.rules)) {
        reported.add(app.id)
        problems.push(withoutSecret(document, placed, target.name, app.id))
      }
      const most = around.server.limits.channelName
      if (fixedLength(target.name) > most) problems.push(tooLong(document, placed, target.name, most))
    }
  }
  return problems
}

/** True where the channel is not public and no module may be asked about it. */
function needsSignature(channel: string, rules: readonly ChannelRule[]): boolean {
  return /^(?:private|presence)-/.test(channel) && !rules.some(rule => rule.authorize !== undefined && mayMatch(rule.pattern, channel))
}

function fixedLength(channel: string): number {
  return channel.replaceAll(/\{\{[^}]*\}\}/g, '').length
}

function withoutSecret(document: SourceDocument, placed: PlacedAction, channel: string, app: string): Problem {
  const message = `Nobody can subscribe to \`${channel}\`: the app \`${app}\` has no \`secret\` to sign with, and no rule of router.yaml asks a module`
  const hint = 'Give the app a `secret`, or write channels: { "private-*": { authorize: ./handlers/may-join.ts } } in router.yaml'
  return problemAt(document, placeOfAction(placed), 'channel-unreachable', message, { hint, severity: 'warning' })
}

function tooLong(document: SourceDocument, placed: PlacedAction, channel: string, most: number): Problem {
  const message = `Nobody can subscribe to \`${channel}\`: router.yaml takes channel names of at most ${most} characters`
  const hint = 'Raise `server.limits.channelName`, or use a shorter name'
  return problemAt(document, placeOfAction(placed), 'channel-unreachable', message, { hint, severity: 'warning' })
}
