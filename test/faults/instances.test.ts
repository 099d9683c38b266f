import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { describeWithKafka, kafkaBrokers } from '../kafka/kafka-address.ts'
import { watchCommits } from './committed-offsets.ts'
import { patienceMs, scaled, testLimitMs } from './scale.ts'
import { makeSubject, type RunningSubject, rebalances } from './subject.ts'

const perSecond = scaled(600, 2_000)
/** While two instances do the work of three. */
const calmPerSecond = 600
/** Longer than the session of 6 s: the group goes on without the frozen one. */
const frozenMs = scaled(8_000, 60_000)

/** At thaw the file's 64 lanes (its default) end what they are at, and may begin what waits in them until the group has answered. */
const atWork = 4 * 64

/** Between one change of members and the next. */
const calmMs = scaled(500, 5_000)

describeWithKafka('several instances', () => {
  test('joining and leaving: nothing is lost or runs twice, committed offsets never go back', { timeout: testLimitMs }, async () => {
    const subject = await makeSubject({ address: kafkaBrokers.join(','), partitions: 6, work: '  await sleep(10)' })
    const sender = subject.sender({ keys: 100 })
    const working = async (count: number) => {
      const pids = async () => new Set((await subject.log.read()).handlings.map(({ pid }) => pid)).size
      await expect.poll(pids, { timeout: patienceMs, interval: 50 }).toBe(count)
    }
    const first = await subject.start()
    const commits = watchCommits(subject)
    let last: readonly RunningSubject[] = []
    const comeAndGo = async () => {
      const second = await subject.start()
      const third = await subject.start()
      await working(3)
      await sleep(calmMs)
      expect(await second.router.terminate()).toBe(0)
      await sleep(calmMs)
      const fourth = await subject.start()
      await working(4)
      expect(await first.router.terminate()).toBe(0)
      last = [third, fourth]
      await sleep(calmMs)
    }
    await sender.sendDuring(comeAndGo(), perSecond)
    await subject.untilCommitted()
    // The measure of the tests that demand none.
    expect(rebalances(first)).toBeGreaterThan(0)
    await Promise.all(last.map(async ({ router }) => expect(await router.terminate()).toBe(0)))
    const result = await subject.account('instances joining and leaving', sender)
    expect(result).toMatchObject({ duplicates: [], reordered: [], repeated: [] })
    expect(await commits.stop()).toEqual([])
  })

  test(`one frozen for ${frozenMs / 1000} s: the others take over, nothing is lost, committed offsets never go back`, {
    timeout: testLimitMs,
  }, async () => {
    const subject = await makeSubject({ address: kafkaBrokers.join(','), partitions: 6, work: '  await sleep(10)' })
    const sender = subject.sender({ keys: 100 })
    const routers = [await subject.start(), await subject.start(), await subject.start()]
    const commits = watchCommits(subject)
    const sending = sender.send((calmPerSecond * (frozenMs + scaled(4_000, 20_000))) / 1000, calmPerSecond)
    await sleep(1_500)
    const frozen = routers[0]?.router.child
    frozen?.kill('SIGSTOP')
    await sleep(frozenMs)
    frozen?.kill('SIGCONT')
    const thawedAt = Date.now()
    await sending
    await subject.untilCommitted()
    await Promise.all(routers.map(async ({ router }) => expect(await router.terminate()).toBe(0)))
    const result = await subject.account(`one instance frozen ${frozenMs / 1000} s`, sender)
    const { handlings } = subject.log
    // What ran twice is what the frozen one had at work or not committed yet; thawed, it ends that and goes through nothing that others have done.
    const others = result.duplicates.filter(({ first, again }) => ![first.pid, again.pid].includes(frozen?.pid ?? -1))
    expect(others).toEqual([])
    const thawed = result.duplicates.filter(({ again }) => again.pid === frozen?.pid && again.at >= thawedAt)
    expect(thawed.length).toBeLessThanOrEqual(atWork)
    expect(handlings.some(({ pid, at }) => pid === frozen?.pid && at > thawedAt)).toBe(true)
    expect(await commits.stop()).toEqual([])
  })
})
