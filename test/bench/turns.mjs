import { setTimeout as sleep } from 'node:timers/promises'
import { look } from './built-router.mjs'

/** One turn, in ms, and its beginning that does not count: what arrived while the router stood still is taken then. */
const turnMs = 500
const leadInMs = 100

/**
 * Lets routers run one at a time, in turns of half a second while the others stand still, so that a busy moment of the machine is everybody's. For each:
 * messages a second and microseconds of its processor time for each, over the turns before any had settled all of its messages. Each settles `warmUp` messages
 * first, alone. When it resolves, all of them run.
 */
export async function inTurns(routers, { messages, warmUp, limitMs }) {
  const endsAt = performance.now() + limitMs
  const sums = routers.map(() => ({ settled: 0, ms: 0, cpu: 0 }))
  for (const router of routers) router.pause()
  for (const router of routers) {
    router.resume()
    while (((await look(router))?.settled ?? 0) < warmUp) {
      if (performance.now() > endsAt) throw new Error('the routers did not warm up in time')
      await sleep(20)
    }
    router.pause()
  }
  for (let round = 0; performance.now() < endsAt; round++) {
    const turns = []
    const order = [...routers.keys()]
    // Each first as often as last.
    for (const index of round % 2 === 0 ? order : order.toReversed()) turns[index] = await turnOf(routers[index])
    if (turns.some(({ end }) => end.settled >= messages)) {
      if (sums.some(({ ms }) => ms === 0)) throw new Error('too few messages: all were settled before a turn could be measured')
      for (const router of routers) router.resume()
      return sums.map(({ settled, ms, cpu }) => ({ rate: (settled * 1000) / ms, cpu: (cpu * 1e6) / settled }))
    }
    for (const [index, { start, end }] of turns.entries()) {
      sums[index].settled += end.settled - start.settled
      sums[index].ms += end.at - start.at
      sums[index].cpu += end.cpu - start.cpu
    }
  }
  throw new Error('the messages were not settled in time')
}

async function turnOf(router) {
  router.resume()
  await sleep(leadInMs)
  const start = await mustLook(router)
  await sleep(turnMs)
  const end = await mustLook(router)
  router.pause()
  return { start, end }
}

async function mustLook(router) {
  const sample = await look(router)
  if (sample === undefined) throw new Error('a router does not answer')
  return sample
}
