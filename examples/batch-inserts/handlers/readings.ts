import type { PGlite } from '@electric-sql/pglite'
import { defineBatchHandler, PermanentError } from 'signalbox'
import { closeDatabase, openDatabase } from './embedded-database.ts'

interface Reading {
  readonly sensor: string
  readonly celsius: number
}

let database: PGlite | undefined

/** Awaited before the first message; an error here keeps the router from starting. */
export async function setup(): Promise<void> {
  database = await openDatabase()
  await database.exec(`
    create table if not exists sensors (name text primary key);
    insert into sensors values ('kitchen'), ('cellar') on conflict do nothing;
    create table if not exists readings (id text primary key, sensor text not null references sensors, celsius float not null);
  `)
}

/** Awaited when the last message is done, and after an edit of this file. */
export async function teardown(): Promise<void> {
  await closeDatabase()
}

/**
 * One statement for all readings of the call. It leaves out those of sensors that it does not know and says which: each of them fails by itself. An
 * error of the statement fails the whole call, and all its messages are tried again. Writing a reading twice leaves one row: a message may come again.
 */
export default defineBatchHandler<Reading>(async (items, { log }) => {
  if (database === undefined) throw new Error('the database is closed')
  const given = items.map(({ event: { id, topic, partition, offset, data } }) => ({ id: id ?? `${topic}/${partition}/${offset}`, ...data }))
  const { rows } = await database.query<{ sensor: string }>(
    `with given as (select * from json_to_recordset($1::json) as reading(id text, sensor text, celsius float)),
       written as (
         insert into readings select id, sensor, celsius from given where sensor in (select name from sensors) on conflict do nothing
       )
     select distinct sensor from given where sensor not in (select name from sensors)`,
    [JSON.stringify(given)],
  )
  const unknown = new Set(rows.map(({ sensor }) => sensor))
  for (const { event, fail } of items)
    if (unknown.has(event.data.sensor)) fail(new PermanentError(`there is no sensor ${event.data.sensor}`))
  log.info({ readings: items.length }, 'written')
})
