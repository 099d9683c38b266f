import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeWithKafka, kafkaBrokers } from '../kafka/kafka-address.ts'
import { type KafkaServer, startKafka } from '../kafka/kafka-server.ts'
import { patienceMs, scaled, testLimitMs } from './scale.ts'
import { ordinary, step } from './sender.ts'
import { makeSubject, type RunningSubject, routeBody, type Subject } from './subject.ts'

const stops = scaled(2, 10)
const perSecond = scaled(1_000, 2_000)
const messages = perSecond * scaled(6, 40)
/** `shutdown.grace`. */
const graceMs = 25_000
/** Of each kind, at each stop. */
const waiting = 2

describeWithKafka('a router stopped under load', () => {
  test(`${stops} stops end with code 0 within the grace period, and nothing is lost or runs twice`, {
    timeout: testLimitMs,
  }, async () => {
    const subject = await makeSubject({ address: kafkaBrokers.join(','), work: '  await sleep(20)' })
    const sender = subject.sender({ keys: 200 })
    let running = await subject.start()
    const sending = sender.send(messages, perSecond)
    for (let stop = 1; stop <= stops; stop++) {
      await handledMoreThan(subject, (messages * stop) / (stops + 1))
      await stopInTime(running)
      running = await subject.start()
    }
    await sending
    await subject.untilCommitted()
    expect(await running.router.terminate()).toBe(0)
    const result = await subject.account(`router stopped ${stops} times`, sender)
    expect(result).toMatchObject({ acknowledged: messages, duplicates: [], reordered: [], repeated: [] })
  })

  test(`${stops} stops with messages in a retry wait release them, and the log counts them; nothing that was done runs twice`, {
    timeout: testLimitMs,
  }, async () => {
    const subject = await makeSubject({
      address: kafkaBrokers.join(','),
      begins: true,
      work: `  if (event.data.waits === true && (await import('node:fs')).existsSync('down')) {
    await note('start', event, ctx, '')
    throw new Error('not yet')
  }`,
    })
    // Their next try would come long after the grace period.
    await subject.project.write(
      'routes/steps.yaml',
      `topics: ${subject.topic}
from: earliest
defaults: { retry: { attempts: 3, backoff: fixed, delay: 60s, maxDelay: 60s, jitter: none } }
routes:
  step:
    event: step
${routeBody(subject.topic, true)}  guarded:
    event: guarded
    idempotency: true
${routeBody(subject.topic, true)}`,
    )
    let toWait = 0
    const sender = subject.sender({
      keys: 200,
      lead: 2 * perSecond,
      content: (n, place) => {
        const event = n % 2 === 0 ? 'step' : 'guarded'
        if (toWait === 0) return ordinary(n, place, event)
        toWait--
        return step(place, 'done', { waits: true }, event)
      },
    })
    const isGuarded = (key: string) => Number(key.slice(1)) % 2 === 1
    const releases = async () => (await subject.log.read()).handlings.filter(({ phase }) => phase === 'start')
    let running = await subject.start()
    const stopAgainAndAgain = async () => {
      for (let stop = 1; stop <= stops; stop++) {
        await handledMoreThan(subject, (messages * stop) / (stops + 1))
        await subject.project.write('down', '')
        toWait = 2 * waiting
        await expect.poll(async () => (await releases()).length, { timeout: patienceMs, interval: 20 }).toBe(2 * waiting * stop)
        // Others of their partitions are done meanwhile.
        await handledMoreThan(subject, subject.log.handled.size + perSecond / 4)
        await stopInTime(running)
        const line: unknown = JSON.parse(await running.router.line('messages will be delivered again'))
        expect(line).toMatchObject({ repeated: 0 })
        expect(releasedOf(line)).toBeGreaterThanOrEqual(2 * waiting)
        await subject.project.remove('down')
        running = await subject.start()
        // Before handlers fail again: what was released runs first of all, but not at once.
        const released = await releases()
        const stillOpen = async () => {
          const { handled } = await subject.log.read()
          return released.filter(({ id }) => !handled.has(id))
        }
        await expect.poll(stillOpen, { timeout: patienceMs, interval: 20 }).toEqual([])
      }
    }
    await sender.sendDuring(stopAgainAndAgain(), perSecond)
    await subject.untilCommitted()
    const metrics = await running.metrics()
    expect(await running.router.terminate()).toBe(0)

    const result = await subject.account(`router stopped ${stops} times with messages in a retry wait`, sender)
    // Committed offsets cannot pass a message that waits: what was done above it is remembered beside them.
    expect(result).toMatchObject({ duplicates: [], reordered: [], repeated: [] })
    const released = await releases()
    expect(new Set(released.map(({ key }) => isGuarded(key)))).toEqual(new Set([true, false]))
    expect(new Set(result.begunAgain)).toEqual(new Set(released.map(({ id }) => id)))
    expect(metrics).toMatch(/signalbox_messages_done_before_total\{[^}]*\} [1-9]/)
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
    await expect.poll(() => running.metrics(), { timeout: patienceMs }).toMatch(/signalbox_messages_settled_total\{[^}]*\} 9\n/)
    await server.kill()
    await running.router.line('not consuming')
    const asked = performance.now()
    expect(await running.router.terminate()).toBe(1)
    expect(performance.now() - asked).toBeLessThan(4_000 + 5_000)
    const said = (text: string) => running.router.lines.filter(line => line.includes(text)).map(line => JSON.parse(line))
    await expect.poll(() => said('was cut off')).toMatchObject([{ cut: expect.arrayContaining(['running work of steps']) }])
    expect(said('will be delivered again')).toMatchObject([{ subscription: 'steps', released: 1 }])
  })
})

async function handledMoreThan(subject: Subject, count: number): Promise<void> {
  await expect.poll(async () => (await subject.log.read()).handled.size, { timeout: patienceMs, interval: 20 }).toBeGreaterThan(count)
}

async function stopInTime({ router }: RunningSubject): Promise<void> {
  const asked = performance.now()
  expect(await router.terminate()).toBe(0)
  expect(performance.now() - asked).toBeLessThan(graceMs)
}

function releasedOf(line: unknown): number {
  return typeof line === 'object' && line !== null && 'released' in line && typeof line.released === 'number' ? line.released : 0
}
