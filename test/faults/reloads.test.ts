import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { describeWithKafka, kafkaBrokers } from '../kafka/kafka-address.ts'
import { Subscriber } from '../support/pusher-client.ts'
import { emitting } from './outputs.ts'
import { scaled, testLimitMs } from './scale.ts'
import { makeSubject, rebalances } from './subject.ts'

const edits = scaled(12, 100)
const perSecond = scaled(1_000, 2_000)
const seconds = scaled(8, 60)

describeWithKafka('reloads under load', () => {
  test(`${edits} edits and ${edits} broken ones: nothing is lost or runs twice, each message sees one version, no socket drops`, {
    timeout: testLimitMs,
  }, async () => {
    const subject = await makeSubject({ address: kafkaBrokers.join(','), work: '  return ctx.with.generation' })
    // Both actions say which version of the file they belong to, with a pause between them; most edits name another handler than the one before.
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
      - broadcast: steps
${emitting(subject.topic, 'done')}`
    await subject.project.write(
      'handlers/first.ts',
      "import { setTimeout as sleep } from 'node:timers/promises'\nexport default async (_event, ctx) => { await sleep(5); return ctx.with.generation }\n",
    )
    await subject.project.write('handlers/log-too.ts', "export { default } from './log.ts'\n")
    await subject.project.write('routes/steps.yaml', file(0))
    const sender = subject.sender({ keys: 200 })
    const running = await subject.start()
    const subscriber = new Subscriber(running.port, 'shop-key')
    await subscriber.subscribe('steps')
    let drops = 0
    subscriber.pusher.connection.bind('disconnected', () => drops++)
    subscriber.pusher.connection.bind('unavailable', () => drops++)
    const sending = sender.send(perSecond * seconds, perSecond)
    const pauseMs = (seconds * 1000) / (edits * 2 + 2)
    for (let edit = 1; edit <= edits; edit++) {
      await subject.project.write('routes/steps.yaml', file(edit))
      await sleep(pauseMs)
      await subject.project.write('routes/steps.yaml', `${file(edit)}  broken${edit}: [\n`)
      await sleep(pauseMs)
    }
    await sending
    await subject.untilCommitted()
    const due = sender.acknowledged.filter(({ fate }) => fate === 'done').length
    await subscriber.atLeast(due)
    const metrics = await running.metrics()
    expect(rebalances(running)).toBe(0)
    expect(drops).toBe(0)
    expect(await running.router.terminate()).toBe(0)
    const result = await subject.account(`${edits} reloads and ${edits} broken edits`, sender)
    expect(result).toMatchObject({ duplicates: [], reordered: [], repeated: [] })
    const { handlings } = subject.log
    expect(subscriber.received).toHaveLength(due)
    for (const { note } of handlings) expect(note).toMatch(/^(\d+)-\1$/)
    expect(new Set(handlings.map(({ note }) => note)).size).toBeGreaterThan(edits / 2)
    expect(metrics).toMatch(/signalbox_reloads_total\{outcome="applied"\} [1-9]/)
    expect(metrics).toMatch(/signalbox_reloads_total\{outcome="rejected"\} [1-9]/)
  })
})
