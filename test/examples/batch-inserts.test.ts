import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { expect, onTestFinished, test } from 'vitest'
import { inAnyOrder, readExample, runExample, subscriberOf } from './example.ts'

test('many readings are written in few calls, one of an unknown sensor fails alone', { timeout: 60_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'signalbox-readings-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  process.env['READINGS_DATABASE'] = join(folder, 'database')
  const example = await readExample('batch-inserts')
  const router = await runExample(example)
  const subscriber = await subscriberOf(example, router)
  for (const event of example.published) await router.publish(event)
  expect(inAnyOrder(await subscriber.atLeast(example.promised.length))).toEqual(inAnyOrder(example.promised))

  const more = Array.from({ length: 300 }, (_, index) => ({
    topic: 'readings',
    event: 'reading.taken',
    id: `more-${index % 299}`,
    data: { sensor: index === 7 ? 'roof' : 'cellar', celsius: index },
  }))
  await Promise.all(more.map(event => router.publish(event)))
  await subscriber.atLeast(example.promised.length + 299)
  const metrics = await (await fetch(`http://127.0.0.1:${router.address.port}/metrics`)).text()
  const metric = (name: string) => Number(new RegExp(`^${name}\\{.*\\} (\\d+)$`, 'm').exec(metrics)?.[1])
  expect(metric('signalbox_batch_messages_total')).toBe(303)
  expect(metric('signalbox_batch_calls_total')).toBeLessThan(100)
  expect(metrics).toContain('signalbox_route_outcomes_total{subscription="readings",route="readings/reading",outcome="dead_lettered"} 2\n')
  await router.stop()

  const database = await PGlite.create(join(folder, 'database'))
  onTestFinished(() => database.close())
  const { rows } = await database.query('select sensor, count(*)::int as readings from readings group by sensor order by sensor')
  // The same id twice is one row.
  expect(rows).toEqual([
    { sensor: 'cellar', readings: 299 },
    { sensor: 'kitchen', readings: 1 },
  ])
})
