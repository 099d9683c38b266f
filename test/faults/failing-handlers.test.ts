import { expect, test } from 'vitest'
import { describeWithKafka, kafkaBrokers } from '../kafka/kafka-address.ts'
import { readDeadLetters } from './dead-letters.ts'
import { scaled, testLimitMs } from './scale.ts'
import { step } from './sender.ts'
import { makeSubject, rebalances, routeBody } from './subject.ts'

const messages = scaled(2_000, 40_000)
const attempts = 3

/** Keys: k0 hangs, k1 throws, k2 fails twice and then works, all others work. */
const work = `  if (event.key === 'k0') await new Promise(() => {})
  if (event.key === 'k1') throw new Error('broken')
  if (event.key === 'k2' && ctx.attempt < 3) throw new Error('not yet')`

describeWithKafka('handlers that hang, throw, or fail twice and then work', () => {
  test('are tried exactly as often as the route says; other keys go on and no partition moves', {
    timeout: testLimitMs,
  }, async () => {
    const subject = await makeSubject({
      address: kafkaBrokers.join(','),
      work,
      begins: true,
      env: { LEDGER_STARTS: '1' },
    })
    // Only what hangs has a short time-out: on a busy machine the others may take their time.
    await subject.project.write(
      'routes/steps.yaml',
      `topics: ${subject.topic}
from: earliest
defaults:
  retry: { attempts: ${attempts}, backoff: fixed, delay: 50ms, jitter: none }
  breaker: off # one key hangs for good here: a breaker would make it wait without using its attempts
routes:
  step:
    event: step
${routeBody(subject.topic, true)}  hang:
    event: hang
    timeout: 300ms
${routeBody(subject.topic, true)}`,
    )
    const sender = subject.sender({
      keys: scaled(200, 4_000),
      content: (_, place) => {
        if (place.key === 'k0') return step(place, 'failed', {}, 'hang')
        return place.key === 'k1' ? step(place, 'failed') : undefined
      },
    })
    const running = await subject.start()
    await sender.send(messages)
    await subject.untilCommitted()
    const metrics = await running.metrics()
    expect(rebalances(running)).toBe(0)
    expect(await running.router.terminate()).toBe(0)
    const broken = sender.acknowledged.filter(({ fate }) => fate === 'failed')
    const letters = await readDeadLetters(subject)
    expect(letters.map(({ headers }) => String(headers['signalbox-attempts']))).toEqual(broken.map(() => String(attempts)))
    const result = await subject.account('failing handlers', sender)
    expect(result).toMatchObject({ duplicates: [], reordered: [], repeated: [], deadLettered: broken.length })
    expect(metrics).toContain(`route="steps/step",outcome="filtered"} ${result.filtered}\n`)
    const tries = new Map<string, number[]>()
    for (const { id, phase, attempt } of subject.log.handlings) if (phase === 'start') tries.set(id, [...(tries.get(id) ?? []), attempt])
    for (const { id, key, fate } of sender.acknowledged) {
      const due = ['k0', 'k1', 'k2'].includes(key) ? [1, 2, 3] : [1]
      expect(tries.get(id)?.sort()).toEqual(fate === 'filtered' ? undefined : due)
    }
  })
})
