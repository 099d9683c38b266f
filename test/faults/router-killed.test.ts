import { expect, test } from 'vitest'
import { describeWithKafka, kafkaBrokers } from '../kafka/kafka-address.ts'
import { patienceMs, scaled, testLimitMs } from './scale.ts'
import { makeSubject } from './subject.ts'

const kills = scaled(3, 20)
const messages = scaled(6_000, 60_000)

/** Offsets are committed at least once a second; the rest is for a machine that is busy. */
const uncommittedMs = 3_000

describeWithKafka('a router killed in the middle of its work', () => {
  test(`${kills} kills lose nothing and change no order; only what was not committed yet runs again`, {
    timeout: testLimitMs,
  }, async () => {
    const subject = await makeSubject({ address: kafkaBrokers.join(',') })
    const sender = subject.sender()
    let running = await subject.start()
    const sending = sender.send(messages, messages / scaled(6, 40))
    const killedAt: number[] = []
    for (let kill = 1; kill <= kills; kill++) {
      const enough = (messages * kill) / (kills + 1)
      await expect.poll(async () => (await subject.log.read()).handled.size, { timeout: patienceMs, interval: 20 }).toBeGreaterThan(enough)
      await running.router.kill()
      killedAt.push(Date.now())
      running = await subject.start()
    }
    await sending
    await subject.untilCommitted()
    expect(await running.router.terminate()).toBe(0)
    const result = await subject.account(`router killed ${kills} times`, sender)
    expect(result).toMatchObject({ acknowledged: messages, reordered: [], repeated: [] })
    const late = result.duplicates.filter(({ first }) => !killedAt.some(at => first.at <= at && first.at > at - uncommittedMs))
    expect(late).toEqual([])
  })
})
