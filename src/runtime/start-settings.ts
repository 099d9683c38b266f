import { didYouMean } from '../config/did-you-mean.ts'
import type { RouterConfig } from '../config/router-config.ts'
import { assertChannelFeed } from './channel-feed.ts'
import { keepFrozen } from './frozen-config.ts'
import type { RouterOptions } from './router-options.ts'
import { StartError } from './start-error.ts'

/** What is settled at the start: the command line's say in the configuration, and what of it only a restart can change. */
export class StartSettings {
  readonly #options: RouterOptions
  #started: RouterConfig | undefined
  #waiting: readonly string[] = []

  constructor(options: RouterOptions) {
    this.#options = options
  }

  /** Keys that have changed since and wait for a restart. */
  get waiting(): readonly string[] {
    return this.#waiting
  }

  /** From now on this configuration is at work. */
  started(config: RouterConfig): void {
    this.#started = config
  }

  /** Flags first; then, once started, what only a restart can change. Throws StartError for a broker that the configuration does not define. */
  adjust(config: RouterConfig): RouterConfig {
    const { channels } = this.#options
    const flagged = withFlags(config, this.#options)
    if (this.#started === undefined) {
      if (channels !== undefined) assertChannelFeed(channels, flagged)
      return flagged
    }
    const applied = keepFrozen(this.#started, flagged)
    this.#waiting = applied.waiting
    return applied.config
  }
}

function withFlags(config: RouterConfig, { broker, port }: RouterOptions): RouterConfig {
  if (broker !== undefined && !Object.hasOwn(config.brokers, broker)) {
    const known = Object.keys(config.brokers)
    const hint = didYouMean(broker, known)
    throw new StartError('unknown-broker', `router.yaml defines no broker ${broker}`, {
      hint: hint === undefined ? `it defines ${known.join(', ')}` : `did you mean ${hint}?`,
    })
  }
  return { ...config, broker: broker ?? config.broker, server: { ...config.server, port: port ?? config.server.port } }
}
