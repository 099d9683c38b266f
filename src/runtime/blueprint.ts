import type { ActionPorts } from '../actions/ports.ts'
import { actionTypes } from '../actions/registry.ts'
import { compilePlan } from '../compiler/compile-plan.ts'
import type { HandlerUse, RoutingPlan } from '../compiler/plan.ts'
import type { ChannelFeed } from '../config/channel-subscriptions.ts'
import { loadProject, type Project } from '../config/load-project.ts'
import type { AuthorizeUse, RouterConfig } from '../config/router-config.ts'
import type { Problem } from '../diagnostics/problem.ts'
import { sortProblems } from '../diagnostics/sort-problems.ts'
import { redactText } from '../observe/redact.ts'

/** A project read and compiled, with everything that is wrong with it. Nothing of it runs yet. */
export interface Blueprint {
  readonly project: Project
  readonly plan: RoutingPlan
  readonly problems: readonly Problem[]
}

export interface BlueprintOptions {
  readonly root: string
  readonly env: NodeJS.ProcessEnv
  readonly mode: 'validate' | 'dev' | 'run'
  /** Only these route files, as given on a command line; default: all. */
  readonly paths?: readonly string[]
  /** Feeds these channels instead of reading any route file. */
  readonly channels?: ChannelFeed | undefined
  /** What the actions act on; without it the plan can be looked at, not run. */
  readonly ports?: ActionPorts
  /** The last word on router.yaml: command-line flags, and what a running router cannot change. */
  readonly adjust?: (config: RouterConfig) => RouterConfig
}

export async function draftBlueprint(options: BlueprintOptions): Promise<Blueprint> {
  const { root, env, mode, paths, channels } = options
  const project = await loadProject({
    root,
    env,
    mode,
    ...(paths === undefined ? {} : { paths }),
    ...(channels === undefined ? {} : { channels }),
  })
  const router = options.adjust?.(project.router) ?? project.router
  const { plan, problems } = compilePlan(
    { ...project, router, hide: text => redactText(text, project.secrets) },
    actionTypes(options.ports ?? idlePorts),
  )
  return {
    project: { ...project, router },
    plan,
    problems: sortProblems([...project.problems, ...problems].map(problem => withoutSecrets(problem, project.secrets))),
  }
}

/** Every handler that the plan calls, once. */
export function handlersOf(plan: RoutingPlan): readonly HandlerUse[] {
  const uses = new Map<string, HandlerUse>()
  for (const { routes, unmatched } of plan.subscriptions)
    for (const route of unmatched.policy === 'actions' ? [...routes, unmatched.route] : routes)
      for (const { action } of route.actions)
        if (action.handler !== undefined) uses.set(`${action.handler.module}#${action.handler.exportName}`, action.handler)
  return [...uses.values()]
}

/** Every module that decides who may subscribe, once. */
export function authorizersOf({ channels }: RouterConfig): readonly AuthorizeUse[] {
  const uses = new Map<string, AuthorizeUse>()
  for (const { authorize } of channels) if (authorize !== undefined) uses.set(`${authorize.module}#${authorize.exportName}`, authorize)
  return [...uses.values()]
}

/** A message may quote a value that came from the environment; nobody needs to read the value itself. */
function withoutSecrets(problem: Problem, secrets: readonly string[]): Problem {
  const { message, hint } = problem
  return { ...problem, message: redactText(message, secrets), ...(hint === undefined ? {} : { hint: redactText(hint, secrets) }) }
}

const idlePorts: ActionPorts = {
  broadcast: { hasSubscribers: () => false, broadcast: () => {} },
  emit: { emit: () => Promise.reject(new Error('this plan is for looking at, not for running')) },
  handlers: { get: () => undefined, getBatch: () => undefined },
  http: { send: () => Promise.reject(new Error('this plan is for looking at, not for running')) },
  log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
}
