import { expect, test } from 'vitest'
import { describeWithKafka, kafkaBrokers } from '../kafka/kafka-address.ts'
import { account } from './account.ts'
import { readDeadLetters } from './dead-letters.ts'
import { patienceMs, scaled, testLimitMs } from './scale.ts'
import { makeSubject, rebalances } from './subject.ts'

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
  hang: { event: hang, timeout: 300ms, actions: [{ invoke: ../handlers/log.ts }] }
  step: { event: step, actions: [{ invoke: ../handlers/log.ts }] }
`,
    )
    const sender = subject.sender({
      keys: scaled(200, 4_000),
      value: (_, message) => Buffer.from(JSON.stringify({ id: message.id, event: message.key === 'k0' ? 'hang' : 'step', data: message })),
    })
    const running = await subject.start()
    await sender.send(messages)
    const broken = sender.acknowledged.filter(({ key }) => key === 'k0' || key === 'k1')
    await subject.untilHandled(
      sender.acknowledged.filter(message => !broken.includes(message)).map(({ id }) => id),
      patienceMs,
    )
    const letters = await readDeadLetters(subject, `${subject.topic}.dlq`, broken.length)
    expect(rebalances(running)).toBe(0)
    expect(await running.router.terminate()).toBe(0)
    const { handlings } = await subject.log.read()
    const tries = new Map<string, number[]>()
    for (const { id, phase, attempt } of handlings) if (phase === 'start') tries.set(id, [...(tries.get(id) ?? []), attempt])
    for (const { id, key } of sender.acknowledged) expect(tries.get(id)?.sort()).toEqual(['k0', 'k1', 'k2'].includes(key) ? [1, 2, 3] : [1])
    expect(letters.map(({ headers }) => String(headers['signalbox-attempts']))).toEqual(broken.map(() => String(attempts)))
    const dead = new Set(broken.map(({ id }) => id))
    const result = account('failing handlers', sender.acknowledged, handlings, dead)
    expect(result).toMatchObject({ lost: [], duplicates: [], reordered: [], deadLettered: broken.length })
  })
})
