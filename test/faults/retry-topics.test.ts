import { expect, test } from 'vitest'
import { describeWithKafka, kafkaBrokers } from '../kafka/kafka-address.ts'
import { readDeadLetters } from './dead-letters.ts'
import { patienceMs, scaled, testLimitMs } from './scale.ts'
import { step } from './sender.ts'
import { makeSubject } from './subject.ts'

const kills = scaled(1, 10)
const messages = scaled(1_000, 30_000)

/** Offsets are committed at least once a second; the rest is for a machine that is busy. */
const uncommittedMs = 3_000

/** One message in five fails twice and then works, one in fifty fails for good. */
const work = `  const n = Number(event.id.slice(1))
  if (n % 50 === 0) throw new Error('broken')
  if (n % 5 === 0 && ctx.attempt < 3) throw new Error('not yet')`
const fails = (id: string) => Number(id.slice(1)) % 50 === 0

describeWithKafka('a router killed while messages wait in retry topics', () => {
  test(`${kills} kills in all lose none of them, tries are counted on, and only what was not committed yet runs again`, {
    timeout: testLimitMs,
  }, async () => {
    const subject = await makeSubject({
      address: kafkaBrokers.join(','),
      work,
      env: { LEDGER_STARTS: '1' },
      file: 'defaults: { retry: { mode: topics, attempts: 3, delay: 300ms, jitter: none }, breaker: off }\n',
    })
    const sender = subject.sender({ content: (_, place) => (fails(place.id) ? step(place, 'failed') : undefined) })
    let running = await subject.start()
    const sending = sender.send(messages, messages / scaled(4, 40))
    const killedAt: number[] = []
    for (let kill = 1; kill <= kills; kill++) {
      const enough = (messages * kill * 0.8) / (kills + 1)
      await expect.poll(async () => (await subject.log.read()).handled.size, { timeout: patienceMs, interval: 20 }).toBeGreaterThan(enough)
      await running.router.kill()
      killedAt.push(Date.now())
      running = await subject.start()
    }
    await sending
    await subject.untilCommitted()
    await subject.untilHandled(sender.acknowledged)
    const broken = sender.acknowledged.filter(({ id }) => fails(id))
    const dead = async () => new Set((await readDeadLetters(subject)).map(({ of }) => of)).size
    await expect.poll(dead, { timeout: patienceMs, interval: 1_000 }).toBe(broken.length)
    expect(await running.router.terminate()).toBe(0)

    const result = await subject.account(`router killed ${kills} times while messages wait in retry topics`, sender)
    expect(result).toMatchObject({ acknowledged: messages, deadLettered: broken.length })
    const attempts = (await readDeadLetters(subject)).map(({ headers }) => String(headers['signalbox-attempts']))
    expect(new Set(attempts)).toEqual(new Set(['3']))
    const { handlings } = subject.log
    // What ran shortly before a kill may not have been committed: it alone, with the tries that come after it, may run twice.
    const uncommitted = new Set(
      handlings.filter(({ at }) => killedAt.some(kill => at <= kill && at > kill - uncommittedMs)).map(({ id }) => id),
    )
    const tries = new Map<string, number>()
    for (const { id, phase, attempt } of handlings)
      if (phase === 'start') tries.set(`${id}/${attempt}`, (tries.get(`${id}/${attempt}`) ?? 0) + 1)
    expect([...tries].filter(([name, count]) => count > 1 && !uncommitted.has(name.split('/')[0] ?? ''))).toEqual([])
    const triesOf = (id: string) => [1, 2, 3, 4].filter(attempt => tries.has(`${id}/${attempt}`)).length
    for (const { id, fate } of sender.acknowledged) if (fate !== 'filtered') expect(triesOf(id)).toBe(Number(id.slice(1)) % 5 === 0 ? 3 : 1)
  })
})
