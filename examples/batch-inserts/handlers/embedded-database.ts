import { fileURLToPath } from 'node:url'
import { PGlite } from '@electric-sql/pglite'

interface Holder {
  users: number
  database: Promise<PGlite> | undefined
}

const folder = process.env['READINGS_DATABASE'] ?? fileURLToPath(new URL('../.data', import.meta.url))
const holder = databaseHolder()

/**
 * After an edit the new version of a handler is set up before the old one is torn down, and an embedded database is opened once: all versions share
 * it. With a database server, each version would simply have a pool of its own.
 */
export async function openDatabase(): Promise<PGlite> {
  holder.database ??= PGlite.create(folder)
  holder.users++
  return await holder.database
}

export async function closeDatabase(): Promise<void> {
  holder.users--
  if (holder.users > 0) return
  const { database } = holder
  holder.database = undefined
  await (await database)?.close()
}

function databaseHolder(): Holder {
  const symbol = Symbol.for('batch-inserts.database')
  const existing: unknown = Reflect.get(globalThis, symbol)
  if (isHolder(existing)) return existing
  const created = { users: 0, database: undefined }
  Reflect.set(globalThis, symbol, created)
  return created
}

function isHolder(value: unknown): value is Holder {
  return typeof value === 'object' && value !== null && 'users' in value
}
