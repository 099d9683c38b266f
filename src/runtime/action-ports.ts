import type { ActionPorts } from '../actions/ports.ts'
import { BrokerError } from '../brokers/broker.ts'
import type { Hub } from '../realtime/hub.ts'
import type { BrokerSet } from './broker-set.ts'
import type { Generations, PortsBesideHandlers } from './generations.ts'
import type { RouterOptions } from './router-options.ts'

/** Made after the actions that reach them are compiled. */
export interface LateParts {
  hub: Hub | undefined
  brokers: BrokerSet | undefined
}

/** What actions reach. Until its parts are there, nothing is broadcast and emits are refused as retriable. */
export function actionPorts(
  late: LateParts,
  generations: Generations,
  http: ActionPorts['http'],
  { log }: RouterOptions,
): PortsBesideHandlers {
  return {
    broadcast: {
      hasSubscribers: (...of) => late.hub?.hasSubscribers(...of) ?? false,
      broadcast: (...event) => late.hub?.broadcast(...event),
    },
    emit: {
      emit: async (broker, record) => {
        const { current } = generations
        if (late.brokers === undefined || current === undefined)
          throw new BrokerError('closed', 'the router has not started', { retriable: true })
        await late.brokers.get(broker, current.project.router).produce(record)
      },
    },
    http,
    log,
  }
}
