import type { SubscriptionPlan } from '../compiler/plan.ts'
import type { RouterConfig } from '../config/router-config.ts'
import type { SubscriptionCounters } from '../engine/counters.ts'
import type { MessageLimit } from '../engine/message-limit.ts'
import type { EngineObserver } from '../engine/observer.ts'
import type { EngineLog } from '../engine/ports.ts'
import type { BrokerSet } from './broker-set.ts'
import type { IdempotencyKeys } from './idempotency-keys.ts'
import { SubscriptionRunner } from './subscription-runner.ts'
import { systemClock } from './system-clock.ts'

/** What all subscriptions of a router share. */
export interface SharedParts {
  readonly brokers: BrokerSet
  readonly keys: IdempotencyKeys
  readonly limit: MessageLimit | undefined
  readonly log: EngineLog
  readonly observer: EngineObserver | undefined
  /** One broker in this process answers to every name. */
  readonly isEmbedded: boolean
  /** Somebody edits, and waits for what comes of it. */
  readonly isDev: boolean
  /** The configuration at work. */
  config(): RouterConfig
  onJoined(): void
}

/** Makes the runner of a subscription; `counters` are those of one that it takes the place of. */
export function runnersOver(
  parts: SharedParts,
): (plan: SubscriptionPlan, counters: SubscriptionCounters | undefined) => SubscriptionRunner {
  const { brokers, keys, limit, log, observer, isEmbedded, isDev } = parts
  return (plan, counters) => {
    const config = parts.config()
    const broker = brokers.get(plan.broker, config)
    return new SubscriptionRunner({
      plan,
      broker,
      counters,
      ports: {
        clock: systemClock,
        random: Math.random,
        log,
        idempotency: keys,
        observer,
        writeDeadLetter: record => broker.produce(record),
        writeRetry: record => broker.produce(record),
      },
      rebalanceMs: () => parts.config().shutdown.rebalanceMs,
      startsOver: isDev,
      limit,
      onJoined: () => parts.onJoined(),
      hasOwnKeys: () => keys.isUnshared,
      hasOwnSockets: isEmbedded || config.backplane.type === 'local',
    })
  }
}
