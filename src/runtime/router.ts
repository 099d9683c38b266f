import { resolve } from 'node:path'
import { createHttpClient } from '../actions/http-client.ts'
import type { ActionPorts } from '../actions/ports.ts'
import type { RoutingPlan, SubscriptionPlan } from '../compiler/plan.ts'
import type { RouterConfig } from '../config/router-config.ts'
import { MessageLimit } from '../engine/message-limit.ts'
import type { Inspector } from '../inspector/inspector.ts'
import type { RealtimeServer } from '../realtime/realtime-server.ts'
import { describeDiff, diffPlans } from '../reload/plan-diff.ts'
import { actionPorts, type LateParts } from './action-ports.ts'
import { BrokerSet, eventRecord } from './broker-set.ts'
import { Fleet } from './fleet.ts'
import { changedSubscriptions, type Generation, Generations } from './generations.ts'
import { hotConfig } from './hot-config.ts'
import { IdempotencyKeys } from './idempotency-keys.ts'
import { createListeners, type Listeners, listen } from './listeners.ts'
import { ProjectWatch } from './project-watch.ts'
import type { OutgoingEvent, ReloadResult, RouterAddress, RouterOptions, RunningRouter } from './router-options.ts'
import { runnersOver } from './runners.ts'
import { StartError } from './start-error.ts'
import { StartSettings } from './start-settings.ts'
import { Statistics, trafficOf } from './statistics.ts'
import { systemClock } from './system-clock.ts'
import { whenEmpty } from './when-empty.ts'

/** The part of the grace period that is left for closing sockets, in ms. */
const socketsGraceMs = 5_000

/** Starts a router on a project. Rejects with StartError; brokers that cannot be reached yet are waited for. */
export async function startRouter(options: RouterOptions): Promise<RunningRouter> {
  const router = new Router(options)
  await router.start()
  return router
}

class Router implements RunningRouter {
  readonly done: Promise<void>
  readonly ready: Promise<void>
  readonly #options: RouterOptions
  readonly #settings: StartSettings
  readonly #generations: Generations
  readonly #reloads = { applied: 0, rejected: 0 }
  readonly #stopping = new AbortController()
  readonly #http = createHttpClient(() => this.#generation().project.router.http)
  readonly #limit: MessageLimit | undefined
  #isDone: () => void = () => {}
  #isReady: () => void = () => {}
  #parts: Parts | undefined
  #address: RouterAddress = { host: '127.0.0.1', port: 0 }
  #reloading: Promise<unknown> = Promise.resolve()
  #stopped: Promise<void> | undefined
  #everReady = false
  #statistics: Statistics | undefined
  /** What nothing may show that leaves this process. */
  #secrets: readonly string[] = []

  constructor(options: RouterOptions) {
    this.#options = options
    this.done = new Promise(resolveDone => {
      this.#isDone = resolveDone
    })
    this.ready = new Promise(resolveReady => {
      this.#isReady = resolveReady
    })
    const { maxMessages = 0 } = options
    this.#limit = maxMessages === 0 ? undefined : new MessageLimit(maxMessages, () => void this.stop())
    this.#settings = new StartSettings(options)
    this.#generations = new Generations({
      root: resolve(options.root),
      env: options.env,
      mode: options.mode,
      adjust: config => this.#settings.adjust(config),
      channels: options.channels,
      overrides: { batchSize: options.batchSize, timeoutMs: options.timeoutMs },
      onSecrets: secrets => this.#learnSecrets(secrets),
    })
  }

  get address(): RouterAddress {
    return this.#address
  }

  /** One broker in this process answers to every name. */
  get #isEmbedded(): boolean {
    return this.#options.mode === 'dev' && this.#options.broker === undefined
  }

  async start(): Promise<void> {
    const late: LateParts = { hub: undefined, brokers: undefined }
    const ports = actionPorts(late, this.#generations, this.#http, this.#options)
    const draft = await this.#generations.draft(ports)
    if (draft.kind !== 'ready') throw new StartError('problems', 'the configuration has problems', draft.kind === 'rejected' ? draft : {})
    const { generation } = draft
    const config = generation.project.router
    const root = resolve(this.#options.root)
    const keys = await IdempotencyKeys.open({ config: config.idempotency, root, log: this.#options.log }, generation.plan)
    const brokers = new BrokerSet({ clientId: config.name, log: this.#options.log, embedded: this.#isEmbedded })
    const listeners = this.#createListeners(config, brokers)
    const { server, inspector } = listeners
    late.brokers = brokers
    late.hub = server.hub
    const fleet = new Fleet(
      runnersOver({
        brokers,
        keys,
        limit: this.#limit,
        log: this.#options.log,
        observer: inspector?.observer,
        isEmbedded: this.#isEmbedded,
        config: () => this.#generation().project.router,
        onJoined: () => this.#noteJoined(),
      }),
      () => this.#generation().project.router.shutdown.rebalanceMs,
    )
    this.#parts = { ports, brokers, server, inspector, fleet, keys, watch: undefined }
    this.#settings.started(config)
    this.#generations.adopt(generation)
    this.#logWarnings(generation)
    try {
      this.#address = await listen(listeners)
      listeners.server.updateConfig(hotConfig(config, this.#options.mode, this.#address))
    } catch (error) {
      await this.#closeParts()
      throw error
    }
    fleet.start(generation.plan)
    if (this.#options.mode === 'run')
      this.#statistics = new Statistics({ clock: systemClock, log: this.#options.log, read: () => trafficOf(fleet.runners) })
    this.#noteJoined()
    if (this.#options.watch ?? true) await this.#watchFiles(generation)
    if (this.#options.stopWhenEmpty === true) void this.#stopWhenEmpty()
  }

  /** Errors keep a router from starting; what is left of its problems are warnings. */
  #logWarnings({ problems }: Generation): void {
    for (const { code, message, file, range, hint } of problems) {
      const place = range === undefined ? file : `${file}:${range.start.line}:${range.start.column}`
      this.#options.log.warn({ code, place, hint }, message)
    }
  }

  async publish(event: OutgoingEvent): Promise<void> {
    const { brokers } = this.#running()
    const { project } = this.#generation()
    await brokers.get(project.router.broker, project.router).produce(eventRecord(event))
  }

  /** One reload at a time; edits that arrive during one are seen by the next. */
  reload(): Promise<ReloadResult> {
    return this.#reload('as-it-is')
  }

  #reload(files: 'settled' | 'as-it-is'): Promise<ReloadResult> {
    const next = this.#reloading.then(() => this.#reloadNow(files))
    this.#reloading = next.catch(() => {})
    return next
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stopNow().finally(() => this.#isDone())
    return this.#stopped
  }

  async #reloadNow(files: 'settled' | 'as-it-is'): Promise<ReloadResult> {
    if (this.#stopping.signal.aborted) return { kind: 'unchanged' }
    const { ports, fleet, server, inspector, watch } = this.#running()
    const { signal } = this.#stopping
    const draft = files === 'settled' ? await this.#generations.settledDraft(ports, signal) : await this.#generations.draft(ports)
    const result = draft.kind === 'ready' ? await this.#apply(draft.generation, fleet, server, watch) : draft
    if (result.kind === 'unchanged') return result
    if (result.kind === 'rejected') this.#reloads.rejected++
    else this.#reloads.applied++
    inspector?.reloaded(result)
    this.#options.onReload?.(result)
    return result
  }

  async #apply(generation: Generation, fleet: Fleet, server: RealtimeServer, watch: ProjectWatch | undefined): Promise<ReloadResult> {
    const { project, plan, problems } = generation
    const fault = await this.#running().keys.openForReload(plan)
    if (fault !== undefined) return { kind: 'rejected', problems: [fault], sources: project.sources }
    const previous = this.#generations.adopt(generation)
    const before: RoutingPlan = previous?.plan ?? { subscriptions: [] }
    const diff = diffPlans(before, plan)
    server.updateConfig(hotConfig(project.router, this.#options.mode, this.#address))
    const applied = fleet.apply(diff)
    watch?.follow(project, generation.handlers.files)
    await applied
    if (previous !== undefined && previous.handlers !== generation.handlers) void this.#retireHandlers(previous)
    const changed = previous === undefined ? new Set<string>() : changedSubscriptions(previous, generation)
    const waits = this.#settings.waiting.map(key => `router.yaml: ${key} changed, which takes a restart`)
    const summary = [...describeDiff(diff, changed), ...waits]
    return { kind: 'applied', generation: generation.number, summary, problems, sources: project.sources }
  }

  async #stopNow(): Promise<void> {
    this.#stopping.abort()
    const { log } = this.#options
    const parts = this.#parts
    if (parts === undefined) return
    await parts.watch?.close()
    await this.#reloading
    const graceMs = this.#generation().project.router.shutdown.graceMs
    const started = performance.now()
    const drained = await parts.fleet.stop(Math.max(graceMs - socketsGraceMs, graceMs / 2))
    this.#statistics?.stop()
    for (const { subscription, finished, released } of drained)
      if (released > 0) log.warn({ subscription, released, finished }, 'messages were released and will be delivered again')
    const left = Math.max(graceMs - (performance.now() - started), 500)
    await this.#closeParts(Math.min(left, socketsGraceMs))
    await this.#retireHandlers(this.#generation())
    log.info({ tookMs: Math.round(performance.now() - started) }, 'stopped')
  }

  async #closeParts(socketsMs = 0): Promise<void> {
    const { brokers, server, inspector, keys } = this.#running()
    await keys.close()
    await inspector?.close()
    await server.close({ graceMs: socketsMs })
    await this.#http.close()
    await brokers.close()
  }

  #createListeners(config: RouterConfig, brokers: BrokerSet): Listeners {
    return createListeners({
      config,
      options: this.#options,
      isEmbedded: this.#isEmbedded,
      brokers,
      generations: this.#generations,
      runners: () => this.#parts?.fleet.runners ?? [],
      reloads: () => this.#reloads,
      // Stays true through rebalances and outages: a load balancer must not cut the sockets for them.
      isReady: () => this.#everReady && !this.#stopping.signal.aborted,
      address: () => this.#address,
      secrets: () => this.#secrets,
      learnSecrets: secrets => this.#learnSecrets(secrets),
    })
  }

  #learnSecrets(secrets: readonly string[]): void {
    this.#secrets = [...new Set([...this.#secrets, ...secrets])]
    this.#options.onSecrets?.(secrets)
  }

  #noteJoined(): void {
    if (this.#everReady || !this.#running().fleet.allJoined) return
    this.#everReady = true
    this.#isReady()
  }

  async #watchFiles({ project, handlers }: Generation): Promise<void> {
    const { log } = this.#options
    const watch = new ProjectWatch({
      root: resolve(this.#options.root),
      onChange: () => {
        this.#reload('settled').catch((error: unknown) => log.error({ err: error }, 'the project could not be read again'))
      },
      onError: error => log.warn({ error: error instanceof Error ? error.message : String(error) }, 'files cannot be watched'),
    })
    this.#running().watch = watch
    watch.follow(project, handlers.files)
    await watch.ready()
  }

  async #stopWhenEmpty(): Promise<void> {
    const { fleet, brokers } = this.#running()
    const config = this.#generation().project.router
    const brokerOf = (plan: SubscriptionPlan) => brokers.get(plan.broker, config)
    if (await whenEmpty(() => fleet.runners, brokerOf, this.#stopping.signal)) await this.stop()
  }

  async #retireHandlers({ handlers }: Generation): Promise<void> {
    for (const error of await handlers.retire()) this.#options.log.error({ err: error }, 'a handler module could not be torn down')
  }

  #running(): Parts {
    if (this.#parts === undefined) throw new Error('the router has not started')
    return this.#parts
  }

  #generation(): Generation {
    const { current } = this.#generations
    if (current === undefined) throw new Error('the router has not started')
    return current
  }
}

interface Parts {
  readonly ports: ActionPorts
  readonly brokers: BrokerSet
  readonly server: RealtimeServer
  readonly inspector: Inspector | undefined
  readonly fleet: Fleet
  readonly keys: IdempotencyKeys
  watch: ProjectWatch | undefined
}
