import { fileURLToPath } from 'node:url'
import { PGlite } from '@electric-sql/pglite'
import { defineHandler, PermanentError } from 'signalbox'

interface Order {
  readonly id: number
  readonly user_id: number
  readonly status: string
  readonly total: number
  readonly paid: number
}

interface OrderChanged {
  readonly order_id: number
  readonly user_id: number
  readonly status: string
  readonly total: number
}

interface PaymentCompleted {
  readonly payment_id: string
  readonly order_id: number
  readonly amount: number
}

const folder = process.env['ORDERS_DATABASE'] ?? fileURLToPath(new URL('../.data', import.meta.url))
const holder = databaseHolder()

/** Awaited before the first message; an error here keeps the router from starting. */
export async function setup(): Promise<void> {
  holder.database ??= await PGlite.create(folder)
  await holder.database.exec(`
    create table if not exists orders (
      id integer primary key, user_id integer not null, status text not null, total float not null, paid float not null default 0
    );
    create table if not exists payments (id text primary key, order_id integer not null references orders, amount float not null);
  `)
  holder.users++
}

/** Awaited when the last message is done, and after an edit of this file. */
export async function teardown(): Promise<void> {
  holder.users--
  if (holder.users > 0) return
  const { database } = holder
  holder.database = undefined
  await database?.close()
}

/** Writing the same order twice leaves one row: a message may come again after a crash. */
export const saveOrder = defineHandler<OrderChanged>(async event => {
  const { order_id, user_id, status, total } = event.data
  const database = open()
  const { rows } = await database.query<Order>(
    `insert into orders (id, user_id, status, total) values ($1, $2, $3, $4)
     on conflict (id) do update set status = excluded.status, total = excluded.total returning *`,
    [order_id, user_id, status, total],
  )
  return rows[0]
})

/** The payment and its order change together or not at all; a payment that is already known changes nothing. */
export const payOrder = defineHandler<PaymentCompleted>(async event => {
  const { payment_id, order_id, amount } = event.data
  const database = open()
  return await database.transaction(async transaction => {
    const known = await transaction.query('select from orders where id = $1 for update', [order_id])
    // Trying again cannot help: the message goes to the dead-letter topic at once.
    if (known.rows.length === 0) throw new PermanentError(`there is no order ${order_id}`)
    await transaction.query('insert into payments (id, order_id, amount) values ($1, $2, $3) on conflict do nothing', [
      payment_id,
      order_id,
      amount,
    ])
    const { rows } = await transaction.query<Order>(
      `update orders set paid = sums.paid, status = case when sums.paid >= total then 'paid' else status end
       from (select sum(amount) as paid from payments where order_id = $1) as sums where id = $1 returning orders.*`,
      [order_id],
    )
    return rows[0]
  })
})

function open(): PGlite {
  if (holder.database === undefined) throw new Error('the database is closed')
  return holder.database
}

/**
 * After an edit of this file its new version is set up before the old one is torn down, and an embedded database is opened once: all versions
 * share it. With a database server, each version would simply have a pool of its own.
 */
function databaseHolder(): { users: number; database: PGlite | undefined } {
  const symbol = Symbol.for('orders-and-payments.database')
  const existing: unknown = Reflect.get(globalThis, symbol)
  if (isHolder(existing)) return existing
  const created = { users: 0, database: undefined }
  Reflect.set(globalThis, symbol, created)
  return created
}

function isHolder(value: unknown): value is { users: number; database: PGlite | undefined } {
  return typeof value === 'object' && value !== null && 'users' in value
}
