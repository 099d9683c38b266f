import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { describeWithKafka, kafkaBrokers } from '../kafka/kafka-address.ts'
import { describeWithRedis, RedisServer } from '../support/redis-server.ts'
import { patienceMs, scaled, testLimitMs } from './scale.ts'
import { makeSubject, type Subject } from './subject.ts'

const address = kafkaBrokers.join(',')
const route = '    idempotency: true\n'

describeWithKafka('a router with the level store, killed in the middle of its work', () => {
  const kills = scaled(3, 20)
  const messages = scaled(6_000, 60_000)

  test(`${kills} kills: of each key at most the message runs again that was at work`, { timeout: testLimitMs }, async () => {
    const subject = await makeSubject({ address, route })
    const sender = subject.sender()
    let running = await subject.start()
    const sending = sender.send(messages, messages / scaled(6, 40))
    const killedAt: number[] = []
    for (let kill = 1; kill <= kills; kill++) {
      await handledMoreThan(subject, (messages * kill) / (kills + 1))
      await running.router.kill()
      killedAt.push(Date.now())
      running = await subject.start()
    }
    await sending
    await subject.untilCommitted()
    const metrics = await running.metrics()
    expect(await running.router.terminate()).toBe(0)
    const result = await subject.account(`level store, router killed ${kills} times`, sender)
    expect(result).toMatchObject({ acknowledged: messages, reordered: [], repeated: [] })
    const places = result.duplicates.map(({ first, again }) => `${first.key}, kill ${killedAt.filter(at => at < again.at).length}`)
    expect(places).toEqual([...new Set(places)])
    // What was finished and not committed came again, and did not run again.
    expect(metrics).toMatch(/signalbox_route_outcomes_total\{[^}]*outcome="duplicate"[^}]*\} [1-9]/)
  })
})

describeWithKafka('a router whose Redis', () => {
  const awayMs = scaled(4_000, 60_000)
  /** From the table of promises: at work again so long after its return. */
  const recoveryMs = 10_000
  const perSecond = 500

  describeWithRedis('goes away', () => {
    test(`for ${awayMs / 1000} s, and is half-open as long: nothing runs meanwhile, nothing is lost, all goes on`, {
      timeout: testLimitMs,
    }, async () => {
      const redis = await RedisServer.start()
      onTestFinished(() => redis.stop())
      const subject = await makeSubject({ address, route, router: `idempotency: { store: redis, url: "${redis.url}" }\n` })
      const sender = subject.sender({ keys: 200 })
      const running = await subject.start()
      const outages: { readonly from: number; readonly to: number }[] = []
      const outage = async (begin: () => Promise<void> | void, end: () => Promise<void> | void) => {
        await begin()
        const from = Date.now()
        await expect.poll(() => running.metrics(), { timeout: patienceMs }).toMatch(/signalbox_idempotency_store_waiting\{[^}]*\} [1-9]/)
        await sleep(awayMs)
        outages.push({ from, to: Date.now() })
        const { size } = (await subject.log.read()).handled
        await end()
        // Redis answers again.
        const back = performance.now()
        const left = () => recoveryMs - (performance.now() - back)
        await handledMoreThan(subject, size, left())
        const again = performance.now() - back
        await expect.poll(() => running.metrics(), { timeout: left() }).toMatch(/signalbox_idempotency_store_waiting\{[^}]*\} 0/)
        console.info(`at work ${Math.round(again)} ms, and nothing waits ${Math.round(performance.now() - back)} ms after Redis was back`)
      }
      const breakTwice = async () => {
        await handledMoreThan(subject, perSecond)
        await outage(
          () => redis.kill(),
          () => redis.restart(),
        )
        await outage(
          () => redis.pause(),
          () => redis.resume(),
        )
      }
      await sender.sendDuring(breakTwice(), perSecond)
      await subject.untilCommitted()
      expect(await running.router.terminate()).toBe(0)
      const result = await subject.account('Redis away and half-open', sender)
      expect(result).toMatchObject({ duplicates: [], reordered: [], repeated: [] })
      // A second for what had its claim already.
      const unguarded = subject.log.handlings.filter(({ at }) => outages.some(({ from, to }) => at > from + 1_000 && at < to))
      expect(unguarded).toEqual([])
      const said = (text: string) => running.router.lines.filter(line => line.includes(text)).length
      expect(said('the idempotency store does not answer')).toBe(2)
      expect(said('the idempotency store answers again')).toBe(2)
    })
  })
})

async function handledMoreThan(subject: Subject, count: number, timeout = patienceMs): Promise<void> {
  await expect.poll(async () => (await subject.log.read()).handled.size, { timeout, interval: 20 }).toBeGreaterThan(count)
}
