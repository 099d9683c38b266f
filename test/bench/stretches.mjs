import { untilSettled } from './built-router.mjs'

/** Of each stretch, what is looked at: partitions are not read at quite the same pace, so that its ends are mixed with its neighbours. */
const from = 0.2
const to = 0.95

/**
 * For a topic of which every second stretch of so many messages differs from the others: the throughput in each that differs as a ratio to the mean of
 * its two neighbours, and microseconds of processor time that a message takes more. It is one process: what is compared has the same compiled
 * code, the same heap, and nearly the same minute of the machine. The first `warmUp` messages do not count.
 */
export async function overStretches(router, { messages, stretch, warmUp, limitMs }) {
  const samples = await untilSettled(router, messages, { limitMs, pauseMs: 15 })
  const found = []
  for (let index = Math.ceil(warmUp / stretch); (index + 1) * stretch <= messages; index++) {
    const [start, end] = [from, to].map(part => at(samples, (index + part) * stretch))
    const count = (to - from) * stretch
    found.push({ differs: index % 2 === 1, us: ((end.at - start.at) * 1e3) / count, cpu: ((end.cpu - start.cpu) * 1e6) / count })
  }
  const compared = []
  for (const [index, { differs, us, cpu }] of found.entries()) {
    const [before, after] = [found[index - 1], found[index + 1]]
    if (!differs || before === undefined || after === undefined) continue
    compared.push({ rate: (before.us + after.us) / 2 / us, cpu: cpu - (before.cpu + after.cpu) / 2 })
  }
  if (compared.length === 0) throw new Error('too few messages: no stretch has both neighbours after the warm-up')
  return compared
}

/** When so many messages were settled, between two looks. */
function at(samples, settled) {
  const next = samples.findIndex(sample => sample.settled >= settled)
  const [before, after] = [samples[next - 1], samples[next]]
  if (before === undefined || after === undefined) throw new Error('too few messages: they were settled before they could be looked at')
  const part = (settled - before.settled) / (after.settled - before.settled)
  return { at: before.at + part * (after.at - before.at), cpu: before.cpu + part * (after.cpu - before.cpu) }
}
