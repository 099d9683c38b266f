import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeWithKafka, kafkaBrokers } from '../kafka/kafka-address.ts'
import { type KafkaServer, startKafka } from '../kafka/kafka-server.ts'
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
    await subject.untilCommitted()
    expect(await running.router.terminate()).toBe(0)
    const result = await subject.account(`router stopped ${stops} times`, sender)
    expect(result).toMatchObject({ acknowledged: messages, duplicates: [], reordered: [], repeated: [] })
  })
})

describeWithKafka('a router stopped when nothing answers', () => {
  let server: KafkaServer

  beforeAll(async () => {
    server = await startKafka()
  })
  afterAll(() => server.stop())

  test('with Kafka away and a handler that hangs it ends within the grace period, with exit code 1 and what was cut off', {
    timeout: testLimitMs,
  }, async () => {
    const subject = await makeSubject({
      address: server.address,
      work: '  if (event.id === "m0") await new Promise(() => setInterval(() => {}, 1000))',
      router: 'shutdown: { grace: 4s }\n',
      route: '    timeout: 10m\n',
    })
    const running = await subject.start()
    const sender = subject.sender({ keys: 10 })
    await sender.send(10, 100)
    await expect.poll(async () => (await subject.log.read()).handled.size, { timeout: patienceMs }).toBe(9)
    await server.kill()
    await running.router.line('not consuming')
    const asked = performance.now()
    expect(await running.router.terminate()).toBe(1)
    expect(performance.now() - asked).toBeLessThan(4_000 + 5_000)
    const said = (text: string) => running.router.lines.filter(line => line.includes(text)).map(line => JSON.parse(line))
    await expect.poll(() => said('was cut off')).toMatchObject([{ cut: expect.arrayContaining(['running work of steps']) }])
    expect(said('were released')).toMatchObject([{ subscription: 'steps', released: 1 }])
  })
})
