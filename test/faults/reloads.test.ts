import { expect, test } from 'vitest'
import { describeWithKafka, kafkaBrokers } from '../kafka/kafka-address.ts'
import { Subscriber } from '../support/pusher-client.ts'
import { emitting, readOutputs } from './outputs.ts'
import { patienceMs, scaled, testLimitMs } from './scale.ts'
import { makeSubject, type RunningSubject, rebalances } from './subject.ts'

const edits = scaled(12, 100)
const perSecond = scaled(1_000, 2_000)
const sockets = 3

describeWithKafka('reloads under load', () => {
  test(`${edits} edits and ${edits} broken ones: nothing is lost or runs twice, each message sees one version, no socket drops`, {
    timeout: testLimitMs,
  }, async () => {
    const subject = await makeSubject({ address: kafkaBrokers.join(','), work: '  return ctx.with.generation' })
    // Every action of both routes says which version of the file it belongs to, with pauses between them; most edits name another handler than the one before.
    const file = (generation: number) => `topics: ${subject.topic}
from: earliest
routes:
  step:
    event: step
    when: { data.skip: { exists: false } }
    actions:
      - invoke: ../handlers/first.ts
        as: first
        with: { generation: ${generation} }
      - invoke: ../handlers/${generation % 3 === 0 ? 'log' : 'log-too'}.ts
        with: { generation: "{{results.first}}-${generation}" }
      - broadcast: { channel: steps, event: step, data: { of: "{{id}}", note: "{{results.first}}-${generation}" } }
${emitting(subject.topic, 'done', `{{results.first}}-${generation}`)}  beside:
    event: step
    when: { data.skip: { exists: false } }
    actions:
      - invoke: ../handlers/first.ts
        as: first
        with: { generation: ${generation} }
${emitting(subject.topic, 'beside', `{{results.first}}-${generation}`)}`
    await subject.project.write(
      'handlers/first.ts',
      "import { setTimeout as sleep } from 'node:timers/promises'\nexport default async (_event, ctx) => { await sleep(5); return ctx.with.generation }\n",
    )
    await subject.project.write('handlers/log-too.ts', "export { default } from './log.ts'\n")
    await subject.project.write('routes/steps.yaml', file(0))
    const sender = subject.sender({ keys: 200 })
    const running = await subject.start()
    let drops = 0
    const subscribers = Array.from({ length: sockets }, () => new Subscriber(running.port, 'shop-key'))
    for (const { pusher } of subscribers)
      pusher.connection.bind('state_change', ({ previous }: { previous: string }) => previous === 'connected' && drops++)
    await Promise.all(subscribers.map(subscriber => subscriber.subscribe('steps')))
    const startedAt = performance.now()
    const edit = async () => {
      for (let generation = 1; generation <= edits; generation++) {
        await subject.project.write('routes/steps.yaml', file(generation))
        await said(running, 'the edited configuration is at work', generation)
        await subject.project.write('routes/steps.yaml', `${file(generation)}  broken${generation}: [\n`)
        await said(running, 'the edited configuration has problems', generation)
      }
    }
    await sender.sendDuring(edit(), perSecond)
    const seconds = Math.round((performance.now() - startedAt) / 1000)
    await subject.untilCommitted()
    const due = sender.acknowledged.filter(({ fate }) => fate === 'done').length
    for (const subscriber of subscribers) await subscriber.atLeast(due)
    const metrics = await running.metrics()
    expect(rebalances(running)).toBe(0)
    expect(drops).toBe(0)
    expect(await running.router.terminate()).toBe(0)
    const name = `${edits} reloads and ${edits} broken edits in ${seconds} s`
    const result = await subject.account(name, sender)
    expect(result).toMatchObject({ duplicates: [], reordered: [], repeated: [] })
    expect(metrics).toContain(`signalbox_reloads_total{outcome="applied"} ${edits}\n`)
    expect(metrics).toContain(`signalbox_reloads_total{outcome="rejected"} ${edits}\n`)

    const versions = new Map<string, string[]>()
    const note = (id: string, text: string) => {
      const known = versions.get(id)
      if (known === undefined) versions.set(id, [text])
      else known.push(text)
    }
    for (const { id, note: text } of subject.log.handlings) note(id, text)
    for (const { of, note: text } of await readOutputs(subject)) note(of, text)
    for (const { received } of subscribers) for (const { data } of received) note(textOf(data, 'of'), textOf(data, 'note'))
    expect(versions.size).toBe(due)
    const mixed = [...versions].filter(
      ([, texts]) => texts.length !== 3 + sockets || new Set(texts).size > 1 || !/^(\d+)-\1$/.test(texts[0] ?? ''),
    )
    expect(mixed).toEqual([])
    expect(new Set([...versions.values()].flat()).size).toBeGreaterThan(edits / 2)
  })
})

/** Until the router has said it so many times. */
async function said({ router }: RunningSubject, text: string, times: number): Promise<void> {
  const count = () => router.lines.filter(line => line.includes(text)).length
  await expect.poll(count, { timeout: patienceMs, interval: 10 }).toBe(times)
}

function textOf(data: unknown, key: string): string {
  return typeof data === 'object' && data !== null ? String(Reflect.get(data, key)) : ''
}
