import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { expect, onTestFinished, test } from 'vitest'
import { readExample, runExample, subscriberOf } from './example.ts'

test('what the customer is told is in the database, and the router leaves it closed and whole', { timeout: 60_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'signalbox-orders-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  process.env['ORDERS_DATABASE'] = join(folder, 'database')
  const example = await readExample('orders-and-payments')
  const router = await runExample(example)
  const subscriber = await subscriberOf(example, router)
  for (const event of example.published) await router.publish(event)
  expect(await subscriber.atLeast(example.promised.length)).toEqual(example.promised)
  await router.stop()

  const database = await PGlite.create(join(folder, 'database'))
  onTestFinished(() => database.close())
  expect((await database.query('select * from orders')).rows).toEqual([{ id: 1, user_id: 7, status: 'paid', total: 90, paid: 90 }])
  expect((await database.query('select id, amount from payments order by id')).rows).toEqual([
    { id: 'p1', amount: 40 },
    { id: 'p2', amount: 50 },
  ])
})
