import { setTimeout as sleep } from 'node:timers/promises'
import type { EngineLog } from '../engine/ports.ts'
import type { RealtimeServer } from '../realtime/realtime-server.ts'
import type { Fleet } from './fleet.ts'
import type { StopResult } from './router-options.ts'
import { StopDeadline } from './stop-deadline.ts'

/** What a stop has to bring to an end. */
export interface EndingRouter {
  readonly fleet: Pick<Fleet, 'stop'>
  readonly server: Pick<RealtimeServer, 'close'>
  /** A reload under way; it knows of the stop. */
  readonly reloading: Promise<unknown>
  /** The consumers have left or are about to: nothing more is processed. */
  drained(): void
  /** Closes what is used until the sockets are closed. */
  closeRest(withinMs: number): readonly EndingPart[]
}

/** A part of the router by its name, and its end. */
export type EndingPart = readonly [string, Promise<unknown> | undefined]

/** The part of the grace period that is left for goodbyes and for closing sockets, in ms. */
const socketsGraceMs = 5_000
/** The part that is left for what closes after them. */
const restGraceMs = 2_000

/** Stops fetching at once, lets running work end, says goodbye, closes the rest: all of it before one deadline. */
export async function stopRouter(parts: EndingRouter, graceMs: number, log: EngineLog): Promise<StopResult> {
  const deadline = new StopDeadline(graceMs, log)
  const goodbyeMs = Math.min(socketsGraceMs, graceMs / 2)
  const drainMs = graceMs - goodbyeMs
  const restMs = Math.min(restGraceMs, goodbyeMs / 2)
  const departures = parts.fleet.stop(drainMs, (goodbyeMs - restMs) / 2)
  const left = Promise.all(
    departures.map(async ({ subscription, drained, left }) => {
      const [result] = await Promise.all([
        deadline.wait(`running work of ${subscription}`, drained, restMs),
        deadline.wait(`the consumer of ${subscription}`, left, restMs),
      ])
      if (result?.finished === false) deadline.cut.push(`running work of ${subscription}`)
    }),
  )
  const reloaded = deadline.wait('a reload under way', parts.reloading, restMs)
  // A broker that does not answer the last commits and goodbyes must not take the sockets' time.
  const drainOver = new AbortController()
  await Promise.race([left, sleep(drainMs, undefined, { signal: drainOver.signal }).catch(() => {})])
  drainOver.abort()
  parts.drained()
  const socketsMs = Math.min(socketsGraceMs, deadline.leftMs(restMs) * 0.8)
  await Promise.all([left, reloaded, deadline.wait('the sockets', parts.server.close({ graceMs: socketsMs }), restMs)])
  await Promise.all(
    parts.closeRest(deadline.leftMs()).map(([part, closed]) => (closed === undefined ? undefined : deadline.wait(part, closed))),
  )
  const { cut, tookMs } = deadline
  if (cut.length === 0) log.info({ tookMs }, 'stopped')
  else log.warn({ tookMs, cut }, 'stopped; at the end of shutdown.grace something was cut off')
  return { cut }
}
