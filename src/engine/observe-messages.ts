import type { SourceRecord } from '../compiler/plan.ts'
import type { Delivery } from './delivery.ts'
import { isUnsettled } from './ending.ts'
import type { Settlement, Unsettled } from './execution.ts'
import { runMessage, type Started } from './message-run.ts'
import type { EngineObserver } from './observer.ts'

/** Runs messages, and tells the observer of each that it starts and how it ended. */
export function observeMessages(observer: EngineObserver): typeof runMessage {
  return (delivery: Delivery, record: SourceRecord): Started => {
    const { plan } = delivery
    observer.started(plan, record)
    const running = runMessage(delivery, record)
    if (running === undefined) observer.ended(plan, record, 'settled')
    if (running === undefined || running === 'too-early') return running
    const ended = (settlement: Settlement): Settlement => {
      observer.ended(plan, record, settlement)
      return settlement
    }
    const endedLater = (unsettled: Unsettled): Unsettled => ({
      whenSettled: listener => unsettled.whenSettled(settlement => listener(ended(settlement))),
    })
    if (isUnsettled(running)) return endedLater(running)
    return {
      waitsForClaim: running.waitsForClaim === true,
      whenEnded: listener => running.whenEnded(end => listener(typeof end === 'string' ? ended(end) : endedLater(end))),
    }
  }
}
