import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeWithKafka } from '../kafka/kafka-address.ts'
import { type KafkaServer, startKafka } from '../kafka/kafka-server.ts'
import { patienceMs, scaled, testLimitMs } from './scale.ts'
import { makeSubject } from './subject.ts'

const kills = scaled(1, 3)
const messages = scaled(8_000, 100_000)
const perSecond = messages / scaled(8, 50)
/** What was sent after the broker's return is not to wait behind a backlog of before. */
const lead = 1_000
/** From the table of promises: consuming again so long after the broker's return. */
const recoveryMs = 15_000

describeWithKafka('a broker killed under load', () => {
  let server: KafkaServer

  beforeAll(async () => {
    server = await startKafka()
  })
  afterAll(() => server.stop())

  test(`${kills} kills lose nothing, change no order, and consuming goes on by itself`, {
    timeout: testLimitMs,
  }, async () => {
    const subject = await makeSubject({ address: server.address, file: 'concurrency: 64\n' })
    const sender = subject.sender({ keys: 100, lead })
    const { router } = await subject.start()
    const recoveries: number[] = []
    const killAgainAndAgain = async () => {
      for (let kill = 1; kill <= kills; kill++) {
        const enough = (messages * kill) / (kills + 1)
        await expect
          .poll(async () => (await subject.log.read()).handled.size, { timeout: patienceMs, interval: 20 })
          .toBeGreaterThan(enough)
        await server.kill()
        await server.restart()
        const returnedAt = Date.now()
        // What was written before may have been on its way already.
        const handledOfNew = async () => {
          const { handled } = await subject.log.read()
          return sender.acknowledged.find(({ id, writtenAt }) => writtenAt > returnedAt && handled.has(id))
        }
        await expect.poll(handledOfNew, { timeout: recoveryMs, interval: 50 }).toBeDefined()
        recoveries.push(Date.now() - returnedAt)
      }
    }
    await sender.sendDuring(killAgainAndAgain(), perSecond)
    await sender.send(messages - sender.acknowledged.length, perSecond)
    await subject.untilCommitted()
    expect(await router.terminate()).toBe(0)
    const result = await subject.account(
      `broker killed ${kills} times, consuming again ${recoveries.join(', ')} ms after its return`,
      sender,
    )
    expect(result).toMatchObject({ reordered: [] })
  })
})
