import { expect, test } from 'vitest'
import { describeWithKafka, kafkaBrokers } from '../kafka/kafka-address.ts'
import { account } from './account.ts'
import { readDeadLetters } from './dead-letters.ts'
import { patienceMs, scaled, testLimitMs } from './scale.ts'
import { makeSubject } from './subject.ts'

const messages = scaled(5_000, 100_000)
const kills = scaled(2, 10)
const schema = JSON.stringify({
  type: 'object',
  required: ['id', 'sequence'],
  properties: { sequence: { type: 'integer', minimum: 0 }, text: { type: 'string', maxLength: 1000 } },
})

/** One in a hundred, in turn: not JSON, bytes that are no text, a list, data of the wrong type, data too large, one the handler refuses. */
const poisons: readonly ((id: string) => Buffer)[] = [
  id => Buffer.from(`{"id":"${id}","event":"step","data":`),
  id => Buffer.concat([Buffer.from([0xff, 0xfe, 0x00]), Buffer.from(id)]),
  id => Buffer.from(`["${id}"]`),
  id => Buffer.from(JSON.stringify({ id, event: 'step', data: { id, sequence: 'first' } })),
  id => Buffer.from(JSON.stringify({ id, event: 'step', data: { id, sequence: 1, text: 'x'.repeat(2_000) } })),
  id => Buffer.from(JSON.stringify({ id, event: 'step', data: { id, sequence: 1, refuse: true } })),
]

const isPoison = (n: number): boolean => n % 100 === 7

const refusing = "  if (event.data.refuse === true) { const error = new Error('refused'); error.name = 'PermanentError'; throw error }"

/** Whatever their order. */
const written = (texts: readonly (Buffer | null)[]) => texts.map(bytes => bytes?.toString('hex')).sort()

describeWithKafka('one poisoned message in a hundred', () => {
  test('every one is dead-lettered once with its bytes, every other is handled once', { timeout: testLimitMs }, async () => {
    const subject = await makeSubject({
      address: kafkaBrokers.join(','),
      file: 'envelope: event\n',
      route: '    schema: ../schemas/step.json\n',
      work: refusing,
      files: { 'schemas/step.json': schema },
    })
    const sender = subject.sender({
      keys: 100,
      value: (n, message) =>
        isPoison(n)
          ? (poisons[Math.floor(n / 100) % poisons.length]?.(message.id) ?? null)
          : Buffer.from(JSON.stringify({ id: message.id, event: 'step', data: message })),
    })
    const { router } = await subject.start()
    await sender.send(messages)
    const bad = sender.acknowledged.filter((_, n) => isPoison(n))
    await subject.untilHandled(
      sender.acknowledged.filter((_, n) => !isPoison(n)).map(({ id }) => id),
      patienceMs,
    )
    const letters = await readDeadLetters(subject, `${subject.topic}.dlq`, bad.length)
    expect(await router.terminate()).toBe(0)
    expect(written(letters.map(({ value }) => value))).toEqual(written(bad.map(({ value }) => value)))
    expect(new Set(letters.map(({ origin }) => origin)).size).toBe(bad.length)
    const dead = new Set(bad.map(({ id }) => id))
    const result = account('1 % poison', sender.acknowledged, (await subject.log.read()).handlings, dead)
    expect(result).toMatchObject({ acknowledged: messages, lost: [], duplicates: [], reordered: [], deadLettered: messages / 100 })
    expect([...dead].filter(id => subject.log.handled.has(id))).toEqual([])
  })

  test(`${kills} kills of the router while dead letters are on their way lose none of them, nor what their keys went on with`, {
    timeout: testLimitMs,
  }, async () => {
    const subject = await makeSubject({ address: kafkaBrokers.join(','), work: refusing })
    const count = scaled(4_000, 40_000)
    const isRefused = (n: number): boolean => n % 20 === 7
    const sender = subject.sender({
      keys: 30,
      value: (n, message) => Buffer.from(JSON.stringify({ id: message.id, event: 'step', data: { ...message, refuse: isRefused(n) } })),
    })
    let running = await subject.start()
    const sending = sender.send(count, 2_000)
    for (let kill = 1; kill <= kills; kill++) {
      const enough = (count * kill) / (kills + 1)
      await expect.poll(async () => (await subject.log.read()).handled.size, { timeout: patienceMs, interval: 20 }).toBeGreaterThan(enough)
      await running.router.kill()
      running = await subject.start()
    }
    await sending
    const refused = sender.acknowledged.filter((_, n) => isRefused(n))
    await subject.untilHandled(
      sender.acknowledged.filter((_, n) => !isRefused(n)).map(({ id }) => id),
      patienceMs,
    )
    expect(await running.router.terminate()).toBe(0)
    const letters = await readDeadLetters(subject, `${subject.topic}.dlq`, refused.length)
    const once = new Map(letters.map(({ origin, value }) => [origin, value]))
    expect(written([...once.values()])).toEqual(written(refused.map(({ value }) => value)))
    const dead = new Set(refused.map(({ id }) => id))
    const result = account(`router killed ${kills} times with poison`, sender.acknowledged, (await subject.log.read()).handlings, dead)
    expect(result).toMatchObject({ acknowledged: count, lost: [], reordered: [], deadLettered: refused.length })
  })
})
