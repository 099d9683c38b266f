import { type Command, Option } from 'commander'
import type { RouteSummary, SubscriptionSummary } from '../../compiler/describe-subscriptions.ts'
import type { SubscriptionPlan } from '../../compiler/plan.ts'
import { print } from '../output.ts'
import { type GlobalOptions, projectRoot } from '../project-root.ts'
import { soundProject } from '../sound-project.ts'
import { textTable } from '../text-table.ts'

interface RoutesOptions extends GlobalOptions {
  readonly format: 'pretty' | 'json'
}

type Listed = SubscriptionSummary & Pick<SubscriptionPlan, 'role'>

export function addRoutes(program: Command): void {
  program
    .command('routes')
    .summary('what listens to what')
    .description('Lists each subscription with its topics, events, routes, actions and consumer group. A route with a condition has a ?.')
    .addOption(new Option('--format <format>', 'how to print').choices(['pretty', 'json']).default('pretty'))
    .addHelpText('after', '\nExamples:\n  $ router routes\n  $ router routes --format json | jq ".[].topics"\n')
    .action(async (_options: unknown, command: Command) => {
      await routes(command.optsWithGlobals<RoutesOptions>())
    })
}

async function routes(options: RoutesOptions): Promise<void> {
  const [{ plan }, { describeSubscriptions }] = await Promise.all([
    soundProject(projectRoot(options), 'a project with errors has no whole list of routes'),
    import('../../compiler/describe-subscriptions.ts'),
  ])
  const roles = new Map(plan.subscriptions.map(({ name, role }) => [name, role]))
  const listed = describeSubscriptions(plan).map(subscription => ({ ...subscription, role: roles.get(subscription.name) ?? 'work' }))
  if (options.format === 'json') print(JSON.stringify(listed, null, 2))
  else if (listed.length === 0) print('no subscriptions')
  else print(textTable(['TOPICS', 'EVENT', 'ROUTE', 'ACTIONS', 'GROUP'], listed.flatMap(rowsOf)))
}

/** Topics and group stand on a subscription's first line, event and route on a route's first. */
function rowsOf(subscription: Listed): readonly (readonly string[])[] {
  const { topics, routes: named, unmatched, role, group } = subscription
  const rows = named.flatMap(route => routeRows(route, route.events.join(', ') || '(any)'))
  if (typeof unmatched === 'string') rows.push(['(others)', '', unmatched])
  else rows.push(...routeRows(unmatched, '(others)'))
  return Array.from({ length: Math.max(topics.length, rows.length) }, (_, line) => [
    topics[line] ?? '',
    ...(rows[line] ?? ['', '', '']),
    line === 0 ? groupOf(role, group) : '',
  ])
}

function routeRows({ name, conditional, actions }: RouteSummary, event: string): string[][] {
  return actions.map((action, index) => (index === 0 ? [event, conditional ? `${name} ?` : name, action] : ['', '', action]))
}

function groupOf(role: Listed['role'], group: string): string {
  return role === 'fanout' ? '(every instance)' : group
}
