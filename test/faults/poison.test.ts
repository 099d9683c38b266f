import { expect, test } from 'vitest'
import { describeWithKafka, kafkaBrokers } from '../kafka/kafka-address.ts'
import { readDeadLetters } from './dead-letters.ts'
import { patienceMs, scaled, testLimitMs } from './scale.ts'
import { type Content, step } from './sender.ts'
import { makeSubject } from './subject.ts'

const messages = scaled(5_000, 100_000)
const kills = scaled(2, 10)
const schema = JSON.stringify({
  type: 'object',
  required: ['id', 'sequence'],
  properties: { sequence: { type: 'integer', minimum: 0 }, text: { type: 'string', maxLength: 1000 } },
})

const event = (id: string, data: unknown) => Buffer.from(JSON.stringify({ id, event: 'step', data }))

/**
 * One in a hundred, in turn. A record without a value and one without an event are named by no route (here `unmatched` dead-letters them); data of null are data,
 * and against the schema. Only what the handler refuses gets as far as an action.
 */
const poisons: readonly ((id: string) => Content)[] = [
  () => ({ value: null, fate: 'refused' }),
  id => ({ value: Buffer.from(`{"id":"${id}","event":"step","data":`), fate: 'refused' }),
  id => ({ value: Buffer.concat([Buffer.from([0xff, 0xfe, 0x00]), Buffer.from(id)]), fate: 'refused' }),
  id => ({ value: Buffer.from(`["${id}"]`), fate: 'refused' }),
  id => ({ value: Buffer.from(JSON.stringify({ id, event: null, data: { id, sequence: 1 } })), fate: 'refused' }),
  id => ({ value: event(id, null), fate: 'refused' }),
  id => ({ value: event(id, { id, sequence: 'first' }), fate: 'refused' }),
  id => ({ value: event(id, { id, sequence: 1, text: 'x'.repeat(2_000) }), fate: 'refused' }),
  id => ({ value: event(id, { id, sequence: 1, refuse: true }), fate: 'failed' }),
]

const isPoison = (n: number): boolean => n % 100 === 7

const refusing = "  if (event.data.refuse === true) { const error = new Error('refused'); error.name = 'PermanentError'; throw error }"

describeWithKafka('one poisoned message in a hundred', () => {
  test('every one is dead-lettered once with its bytes, every other is handled once', { timeout: testLimitMs }, async () => {
    const subject = await makeSubject({
      address: kafkaBrokers.join(','),
      file: 'envelope: event\nunmatched: dead-letter\n',
      route: '    schema: ../schemas/step.json\n',
      begins: true,
      work: refusing,
      files: { 'schemas/step.json': schema },
    })
    const sender = subject.sender({
      keys: 100,
      content: (n, { id }) => (isPoison(n) ? poisons[Math.floor(n / 100) % poisons.length]?.(id) : undefined),
    })
    const { router, metrics } = await subject.start()
    await sender.send(messages)
    await subject.untilCommitted()
    const seen = await metrics()
    expect(await router.terminate()).toBe(0)
    const result = await subject.account('1 % poison', sender)
    expect(result).toMatchObject({ acknowledged: messages, duplicates: [], reordered: [], repeated: [], deadLettered: messages / 100 })
    expect(seen).toContain(`outcome="filtered"} ${result.filtered}\n`)
    const letters = await readDeadLetters(subject)
    expect(new Set(letters.map(({ origin }) => origin)).size).toBe(messages / 100)
  })

  test(`${kills} kills of the router while dead letters are on their way lose none of them, nor what their keys went on with`, {
    timeout: testLimitMs,
  }, async () => {
    const subject = await makeSubject({ address: kafkaBrokers.join(','), work: refusing })
    const count = scaled(4_000, 40_000)
    const isRefused = (n: number): boolean => n % 20 === 7
    const sender = subject.sender({
      keys: 30,
      content: (n, place) => (isRefused(n) ? step(place, 'failed', { refuse: true }) : undefined),
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
    await subject.untilCommitted()
    expect(await running.router.terminate()).toBe(0)
    const result = await subject.account(`router killed ${kills} times with poison`, sender)
    expect(result).toMatchObject({ acknowledged: count, reordered: [], deadLettered: count / 20 })
  })
})
