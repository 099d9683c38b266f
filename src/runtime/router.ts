import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import { createHttpClient } from '../actions/http-client.ts'
import type { ActionPorts } from '../actions/ports.ts'
import { BrokerError } from '../brokers/broker.ts'
import type { RoutingPlan, SubscriptionPlan } from '../compiler/plan.ts'
import { didYouMean } from '../config/did-you-mean.ts'
import type { AppConfig, RouterConfig } from '../config/router-config.ts'
import type { SubscriptionCounters } from '../engine/counters.ts'
import { MessageLimit } from '../engine/message-limit.ts'
import { createInspector, type Inspector, InspectorError } from '../inspector/inspector.ts'
import { createMetrics } from '../observe/metrics.ts'
import type { Hub } from '../realtime/hub.ts'
import { ListenError } from '../realtime/listen.ts'
import { createRealtimeServer, type RealtimeServer } from '../realtime/realtime-server.ts'
import type { HotRealtimeConfig, ResolvedApp } from '../realtime/settings.ts'
import { describeDiff, diffPlans } from '../reload/plan-diff.ts'
import { BrokerSet, eventRecord, rawRecord } from './broker-set.ts'
import { assertChannelFeed } from './channel-feed.ts'
import { Fleet } from './fleet.ts'
import { keepFrozen } from './frozen-config.ts'
import { changedSubscriptions, type Generation, Generations } from './generations.ts'
import { IdempotencyKeys } from './idempotency-keys.ts'
import { ProjectWatch } from './project-watch.ts'
import type { OutgoingEvent, ReloadResult, RouterAddress, RouterOptions, RunningRouter } from './router-options.ts'
import { snapshotOf } from './snapshots.ts'
import { StartError } from './start-error.ts'
import { Statistics, trafficOf } from './statistics.ts'
import { SubscriptionRunner } from './subscription-runner.ts'
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
  readonly #generations: Generations
  readonly #reloads = { applied: 0, rejected: 0 }
  readonly #stopping = new AbortController()
  readonly #http = createHttpClient(() => this.#generation().project.router.http)
  readonly #limit: MessageLimit | undefined
  #isDone: () => void = () => {}
  #isReady: () => void = () => {}
  #parts: Parts | undefined
  #address: RouterAddress = { host: '127.0.0.1', port: 0 }
  #started: RouterConfig | undefined
  #waiting: readonly string[] = []
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
    this.#generations = new Generations({
      root: resolve(options.root),
      env: options.env,
      mode: options.mode,
      adjust: config => this.#adjust(config),
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
    const late: { hub: Hub | undefined; brokers: BrokerSet | undefined } = { hub: undefined, brokers: undefined }
    const ports = this.#portsOver(late)
    const draft = await this.#generations.draft(ports)
    if (draft.kind !== 'ready') throw new StartError('problems', 'the configuration has problems', draft.kind === 'rejected' ? draft : {})
    const { generation } = draft
    const config = generation.project.router
    const root = resolve(this.#options.root)
    const keys = await IdempotencyKeys.open({ config: config.idempotency, root, log: this.#options.log }, generation.plan)
    const brokers = new BrokerSet({ clientId: config.name, log: this.#options.log, embedded: this.#isEmbedded })
    const server = this.#createServer(config)
    const inspector = this.#createInspector(config, brokers, server)
    late.brokers = brokers
    late.hub = server.hub
    const fleet = new Fleet((plan, counters) => this.#createRunner(plan, counters), config.shutdown.rebalanceMs)
    this.#parts = { ports, brokers, server, inspector, fleet, keys, watch: undefined }
    this.#started = config
    this.#generations.adopt(generation)
    this.#logWarnings(generation)
    try {
      await this.#open(server, inspector)
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
    server.updateConfig(this.#hotConfig(project.router))
    const applied = fleet.apply(diff)
    watch?.follow(project, generation.handlers.files)
    await applied
    if (previous !== undefined && previous.handlers !== generation.handlers) void this.#retireHandlers(previous)
    const changed = previous === undefined ? new Set<string>() : changedSubscriptions(previous, generation)
    const waits = this.#waiting.map(key => `router.yaml: ${key} changed, which takes a restart`)
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

  /** Ports that reach parts which are made later: actions are compiled before the server and the brokers exist. */
  #portsOver(late: { hub: Hub | undefined; brokers: BrokerSet | undefined }): ActionPorts {
    return {
      broadcast: {
        hasSubscribers: (...of) => late.hub?.hasSubscribers(...of) ?? false,
        broadcast: (...event) => late.hub?.broadcast(...event),
      },
      emit: {
        emit: async (broker, record) => {
          if (late.brokers === undefined) throw new BrokerError('closed', 'the router has not started', { retriable: true })
          await late.brokers.get(broker, this.#generation().project.router).produce(record)
        },
      },
      handlers: this.#generations.handlers,
      http: this.#http,
      log: this.#options.log,
    }
  }

  #createServer(config: RouterConfig): RealtimeServer {
    const { log, mode } = this.#options
    const metrics = createMetrics({
      subscriptions: () => [...(this.#parts?.fleet.runners ?? [])].map(snapshotOf),
      realtime: () => server.stats(),
      reloads: () => ({ ...this.#reloads, generation: this.#generations.current?.number ?? 0 }),
    })
    const server: RealtimeServer = createRealtimeServer({
      config: {
        ...config.server,
        apps: this.#resolveApps(config.server.apps),
        channels: config.channels,
        // What an embedded broker holds is this process's own, and so is whoever listens.
        backplane: this.#isEmbedded ? { type: 'local' } : config.backplane,
      },
      log,
      mode,
      findModule: this.#generations.findAuthorize,
      endpoints: {
        ready: () => this.#readiness(),
        metrics: async () => ({ contentType: metrics.contentType, body: await metrics.text() }),
      },
    })
    return server
  }

  #createInspector(config: RouterConfig, brokers: BrokerSet, server: RealtimeServer): Inspector | undefined {
    const { inspector, log } = this.#options
    if (inspector === undefined) return undefined
    const apps = config.server.apps.map(({ id }) => id)
    return createInspector({
      host: '127.0.0.1',
      port: inspector.port,
      token: inspector.token,
      isGuarded: inspector.isGuarded,
      log,
      current: () => ({
        app: config.name,
        generation: this.#generations.current?.number ?? 0,
        plan: this.#generations.current?.plan ?? { subscriptions: [] },
      }),
      channels: most => apps.flatMap(app => server.occupied(app, most)).slice(0, most),
      secrets: () => this.#secrets,
      onNews: inspector.onNews,
      broker: this.#isEmbedded ? brokers.get(config.broker, config) : undefined,
      publish: request => {
        const record = 'raw' in request ? rawRecord(request) : eventRecord(request)
        return brokers.get(config.broker, this.#generation().project.router).produce(record)
      },
    })
  }

  #learnSecrets(secrets: readonly string[]): void {
    this.#secrets = [...new Set([...this.#secrets, ...secrets])]
    this.#options.onSecrets?.(secrets)
  }

  async #open(server: RealtimeServer, inspector: Inspector | undefined): Promise<void> {
    try {
      const address = await server.listen()
      this.#address = address
      if (inspector === undefined) return
      const { port } = await inspector.listen()
      this.#address = { ...address, inspector: { host: '127.0.0.1', port } }
    } catch (error) {
      if (error instanceof ListenError || error instanceof InspectorError)
        throw new StartError(error.code === 'port-in-use' ? 'port-in-use' : 'cannot-listen', error.message, {
          hint: error.hint,
          cause: error,
        })
      throw error
    }
  }

  /** The part of the configuration that the realtime server takes over while it runs. */
  #hotConfig(config: RouterConfig): HotRealtimeConfig {
    return { ...config.server, channels: config.channels }
  }

  #createRunner(plan: SubscriptionPlan, counters: SubscriptionCounters | undefined): SubscriptionRunner {
    const { log } = this.#options
    const { project } = this.#generation()
    const { brokers, keys, inspector } = this.#running()
    const broker = brokers.get(plan.broker, project.router)
    return new SubscriptionRunner({
      plan,
      broker,
      counters,
      ports: {
        clock: systemClock,
        random: Math.random,
        log,
        idempotency: keys,
        observer: inspector?.observer,
        writeDeadLetter: record => broker.produce(record),
        writeRetry: record => broker.produce(record),
      },
      rebalanceMs: project.router.shutdown.rebalanceMs,
      limit: this.#limit,
      onJoined: () => this.#noteJoined(),
      hasOwnKeys: () => keys.isUnshared,
      hasOwnSockets: this.#isEmbedded || project.router.backplane.type === 'local',
    })
  }

  #noteJoined(): void {
    if (this.#everReady || !this.#running().fleet.allJoined) return
    this.#everReady = true
    this.#isReady()
  }

  /** Stays true through rebalances and outages: a load balancer must not cut the sockets for them. */
  #readiness(): { readonly ok: boolean; readonly body: unknown } {
    const ok = this.#everReady && !this.#stopping.signal.aborted
    const subscriptions = [...(this.#parts?.fleet.runners ?? [])].map(({ processor, joined, connected }) => ({
      name: processor.plan.name,
      group: processor.plan.group,
      joined,
      connected,
      partitions: [...processor.assignments].length,
      lag: [...processor.assignments].reduce((sum, assignment) => sum + assignment.lag, 0),
    }))
    return { ok, body: { ready: ok, generation: this.#generations.current?.number ?? 0, subscriptions } }
  }

  /** Flags first; then, once started, what only a restart can change. */
  #adjust(config: RouterConfig): RouterConfig {
    const { broker, port, channels } = this.#options
    if (broker !== undefined && !Object.hasOwn(config.brokers, broker)) {
      const known = Object.keys(config.brokers)
      const hint = didYouMean(broker, known)
      throw new StartError('unknown-broker', `router.yaml defines no broker ${broker}`, {
        hint: hint === undefined ? `it defines ${known.join(', ')}` : `did you mean ${hint}?`,
      })
    }
    const flagged = { ...config, broker: broker ?? config.broker, server: { ...config.server, port: port ?? config.server.port } }
    if (this.#started === undefined) {
      if (channels !== undefined) assertChannelFeed(channels, flagged)
      return flagged
    }
    const applied = keepFrozen(this.#started, flagged)
    this.#waiting = applied.waiting
    return applied.config
  }

  /** In `dev` a missing secret is made up; in `run` the configuration check has refused it already. */
  #resolveApps(apps: readonly AppConfig[]): readonly ResolvedApp[] {
    return apps.map(app => {
      if (app.secret !== undefined) return { ...app, secret: app.secret }
      const secret = randomBytes(16).toString('hex')
      this.#learnSecrets([secret])
      this.#options.log.warn({ app: app.id }, 'the app has no secret: one was made up for this run')
      return { ...app, secret }
    })
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
