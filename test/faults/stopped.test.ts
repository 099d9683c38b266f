import { expect, test } from 'vitest'
import { describeWithKafka, kafkaBrokers } from '../kafka/kafka-address.ts'
import { account } from './account.ts'
import { patienceMs, scaled, testLimitMs } from './scale.ts'
import { makeSubject } from './subject.ts'

const stops = scaled(2, 10)
const perSecond = scaled(1_000, 2_000)
const messages = perSecond * scaled(6, 40)

describeWithKafka('a router stopped under load', () => {
  test(`${stops} stops end with code 0 within the grace period, and nothing is lost or runs twice`, {
    timeout: testLimitMs,
  }, async () => {
    const subject = await makeSubject({ address: kafkaBrokers.join(','), work: '  await sleep(20)' })
    const sender = subject.sender({ keys: 200 })
    let running = await subject.start()
    const sending = sender.send(messages, perSecond)
    for (let stop = 1; stop <= stops; stop++) {
      const enough = (messages * stop) / (stops + 1)
      await expect.poll(async () => (await subject.log.read()).handled.size, { timeout: patienceMs, interval: 20 }).toBeGreaterThan(enough)
      const asked = performance.now()
      expect(await running.router.terminate()).toBe(0)
      expect(performance.now() - asked).toBeLessThan(25_000)
      running = await subject.start()
    }
    await sending
    await subject.untilHandled(
      sender.acknowledged.map(({ id }) => id),
      patienceMs,
    )
    expect(await running.router.terminate()).toBe(0)
    const result = account(`router stopped ${stops} times`, sender.acknowledged, (await subject.log.read()).handlings)
    expect(result).toMatchObject({ acknowledged: messages, lost: [], duplicates: [], reordered: [] })
  })
})
