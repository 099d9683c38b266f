import { resolve } from 'node:path'
import { createHttpClient } from '../actions/http-client.ts'
import type { SubscriptionPlan } from '../compiler/plan.ts'
import type { RouterConfig } from '../config/router-config.ts'
import { MessageLimit } from '../engine/message-limit.ts'
import type { Inspector } from '../inspector/inspector.ts'
import type { RealtimeServer } from '../realtime/realtime-server.ts'
import { actionPorts, type LateParts } from './action-ports.ts'
import { BrokerSet, eventRecord } from './broker-set.ts'
import { Fleet } from './fleet.ts'
import { type Generation, Generations, type PortsBesideHandlers } from './generations.ts'
import { type LifecycleLimits, lifecycleLimits } from './handler-lifecycle.ts'
import { hotConfig } from './hot-config.ts'
import { IdempotencyKeys } from './idempotency-keys.ts'
import { createListeners, type Listeners, listen } from './listeners.ts'
import { ProjectWatch } from './project-watch.ts'
import { Reloads } from './reloads.ts'
import { retireHandlers } from './retire-handlers.ts'
import type { OutgoingEvent, ReloadResult, RouterAddress, RouterOptions, RunningRouter, StopResult } from './router-options.ts'
import { runnersOver } from './runners.ts'
import { StartError } from './start-error.ts'
import { StartSettings } from './start-settings.ts'
import { Statistics, trafficOf } from './statistics.ts'
import { type EndingPart, stopRouter } from './stop-router.ts'
import { systemClock } from './system-clock.ts'
import { whenEmpty } from './when-empty.ts'

/** Starts a router on a project. Rejects with StartError; brokers that cannot be reached yet are waited for. */
export async function startRouter(options: RouterOptions, handlerLimits = lifecycleLimits): Promise<RunningRouter> {
  const router = new Router(options, handlerLimits)
  await router.start()
  return router
}

class Router implements RunningRouter {
  readonly done: Promise<StopResult>
  readonly ready: Promise<void>
  readonly #options: RouterOptions
  readonly #settings: StartSettings
  readonly #generations: Generations
  readonly #reloads: Reloads
  readonly #stopping = new AbortController()
  readonly #http = createHttpClient(() => this.#generation().project.router.http)
  readonly #limit: MessageLimit | undefined
  #isDone: (result: Promise<StopResult>) => void = () => {}
  #isReady: () => void = () => {}
  #parts: Parts | undefined
  #address: RouterAddress = { host: '127.0.0.1', port: 0 }
  #stopped: Promise<StopResult> | undefined
  #everReady = false
  #statistics: Statistics | undefined
  /** What nothing may show that leaves this process. */
  #secrets: readonly string[] = []

  constructor(options: RouterOptions, handlerLimits: LifecycleLimits) {
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
      handlerLimits,
      onSecrets: secrets => this.#learnSecrets(secrets),
    })
    this.#reloads = new Reloads({
      generations: this.#generations,
      log: options.log,
      stopping: this.#stopping.signal,
      parts: () => this.#running(),
      hotConfig: config => hotConfig(config, options.mode, this.#address),
      waiting: () => this.#settings.waiting,
      onReload: result => {
        this.#running().inspector?.reloaded(result)
        options.onReload?.(result)
      },
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
    const { signal } = this.#options
    signal?.addEventListener('abort', () => void this.stop(), { signal: this.#stopping.signal })
    if (signal?.aborted === true) void this.stop()
    const late: LateParts = { hub: undefined, brokers: undefined }
    const ports = actionPorts(late, this.#generations, this.#http, this.#options)
    try {
      const draft = await this.#generations.draft(ports, this.#stopping.signal)
      if (draft.kind !== 'ready') throw new StartError('problems', 'the configuration has problems', draft.kind === 'rejected' ? draft : {})
      await this.#startOn(draft.generation, ports, late).catch(async (error: unknown) => {
        await retireHandlers(draft.generation, this.#options.log)
        throw error
      })
    } catch (error) {
      this.#stopping.signal.throwIfAborted()
      this.#stopping.abort()
      throw error
    }
  }

  async #startOn(generation: Generation, ports: PortsBesideHandlers, late: LateParts): Promise<void> {
    const config = generation.project.router
    const root = resolve(this.#options.root)
    const keys = await IdempotencyKeys.open({ config: config.idempotency, root, log: this.#options.log }, generation.plan)
    if (this.#stopping.signal.aborted) await keys.close()
    this.#stopping.signal.throwIfAborted()
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
        isDev: this.#options.mode === 'dev',
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
    if (this.#stopping.signal.aborted) await this.stop()
    this.#stopping.signal.throwIfAborted()
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

  reload(): Promise<ReloadResult> {
    return this.#reloads.reload('as-it-is')
  }

  async stop(): Promise<void> {
    if (this.#stopped === undefined) {
      this.#stopped = this.#stopNow()
      this.#isDone(this.#stopped)
    }
    await this.#stopped
  }

  async #stopNow(): Promise<StopResult> {
    this.#stopping.abort(this.#options.signal?.reason)
    const parts = this.#parts
    if (parts === undefined) return { cut: [] }
    const { fleet, server, inspector, keys, brokers } = parts
    const { graceMs } = this.#generation().project.router.shutdown
    const ending = {
      fleet,
      server,
      reloading: this.#reloads.underWay,
      drained: () => this.#statistics?.stop(),
      closeRest: (withinMs: number): readonly EndingPart[] => [
        ['the watch over files', parts.watch?.close()],
        ['the inspector', inspector?.close()],
        ['the idempotency store', keys.close()],
        ['the broker connections', brokers.close()],
        ['calls over HTTP', this.#http.close()],
        ['the teardown of handlers', retireHandlers(this.#generation(), this.#options.log, withinMs)],
        ['the teardown of earlier handlers', this.#reloads.retired],
      ],
    }
    return await stopRouter(ending, graceMs, this.#options.log)
  }

  async #closeParts(): Promise<void> {
    const { brokers, server, inspector, keys } = this.#running()
    await keys.close()
    await inspector?.close()
    await server.close({ graceMs: 0 })
    await this.#http.close()
    await brokers.close()
  }

  #createListeners(config: RouterConfig, brokers: BrokerSet): Listeners {
    return createListeners({
      config,
      options: this.#options,
      isEmbedded: this.#isEmbedded,
      brokers,
      whileStopped: (group, work) => this.#reloads.whileStopped(group, work),
      generations: this.#generations,
      runners: () => this.#parts?.fleet.runners ?? [],
      reloads: () => this.#reloads.counts,
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
        this.#reloads.reload('settled').catch((error: unknown) => log.error({ err: error }, 'the project could not be read again'))
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
  readonly ports: PortsBesideHandlers
  readonly brokers: BrokerSet
  readonly server: RealtimeServer
  readonly inspector: Inspector | undefined
  readonly fleet: Fleet
  readonly keys: IdempotencyKeys
  watch: ProjectWatch | undefined
}
