import { isUtf8 } from 'node:buffer'
import type { DeadLetter } from './dead-letters.ts'
import type { LeftLetter, Replayable } from './replay-letters.ts'
import { textTable } from './text-table.ts'

export function listTable(letters: readonly DeadLetter[]): string {
  if (letters.length === 0) return 'no dead letters'
  const rows = letters.map(({ id, timestamp, state, route, action, attempts, error, message }) => [
    id,
    isoTime(timestamp),
    state,
    route ?? '-',
    action ?? '-',
    String(attempts),
    clipped(`${error}: ${message}`),
  ])
  return `${textTable(['LETTER', 'TIME', 'STATE', 'ROUTE', 'ACTION', 'ATTEMPTS', 'ERROR'], rows)}\n\n${letters.length} in all`
}

export function listJson(letters: readonly DeadLetter[]): string {
  return JSON.stringify(letters.map(facts), null, 2)
}

export function showLetter(letter: DeadLetter): string {
  const { record } = letter
  const known = Object.entries(facts(letter)).map(
    ([name, value]) => `${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`,
  )
  const headers = Object.entries(record.headers)
    .filter(([name]) => !name.startsWith('kafka_dlt-') && !name.startsWith('signalbox-'))
    .flatMap(([name, value]) => (Buffer.isBuffer(value) ? [value] : value).map(bytes => `  ${name}: ${showBytes(bytes)}`))
  const stack = record.headers['kafka_dlt-exception-stacktrace']
  return [
    ...known,
    ...(headers.length === 0 ? [] : ['headers:', ...headers]),
    ...(Buffer.isBuffer(stack)
      ? [
          'stack:',
          ...stack
            .toString('utf8')
            .split('\n')
            .map(line => `  ${line}`),
        ]
      : []),
    'value:',
    ...(letter.leftOut === undefined
      ? showValue(record.value)
      : `${letter.leftOut} bytes, which the message's own topic does not hold any more`
    )
      .split('\n')
      .map(line => `  ${line}`),
  ].join('\n')
}

/** The first of `count`. */
export function replayTable(chosen: readonly Replayable[], count: number): string {
  const rows = chosen.map(({ letter, topic }) => [letter.id, letter.route ?? '-', letter.action ?? '-', topic])
  const more = count > chosen.length ? `and ${(count - chosen.length).toLocaleString('en-US')} more\n` : ''
  return `${textTable(['LETTER', 'ROUTE', 'FROM ACTION', 'TO'], rows)}\n${more}`
}

const mostLeft = 20

/** The first of `count`. */
export function leftLines(left: readonly LeftLetter[], count: number): readonly string[] {
  const lines = left.slice(0, mostLeft).map(({ letter, why }) => `left out: ${letter.id}: ${why}`)
  return count > mostLeft ? [...lines, `left out: ${count - mostLeft} more`] : lines
}

/** What a list does not show because it lies before the newest `last` records of each partition. */
export function olderLine(older: number, last: number): string {
  const count = older.toLocaleString('en-US')
  return `looked at the newest ${last.toLocaleString('en-US')} records of each partition; ${count} older ${older === 1 ? 'one was' : 'ones were'} not (--last)`
}

function facts({ id, timestamp, state, group, route, action, attempts, error, message, original, record }: DeadLetter): object {
  return {
    letter: id,
    time: isoTime(timestamp),
    state,
    group: group ?? null,
    route: route ?? null,
    action: action ?? null,
    attempts,
    error,
    message,
    from:
      original === undefined
        ? null
        : { topic: original.topic, partition: original.partition, offset: original.offset, time: isoTime(original.timestamp) },
    key: record.key === null ? null : showBytes(record.key),
  }
}

/** A timestamp is the producer's: it may be none that a date can hold. */
function isoTime(timestamp: number): string {
  const date = new Date(timestamp)
  return Number.isNaN(date.getTime()) ? String(timestamp) : date.toISOString()
}

const longest = 100

function clipped(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ')
  return line.length > longest ? `${line.slice(0, longest)}…` : line
}

function showBytes(bytes: Buffer): string {
  return isUtf8(bytes) ? JSON.stringify(bytes.toString('utf8')) : `base64 ${bytes.toString('base64')}`
}

function showValue(value: Buffer | null): string {
  if (value === null) return 'null'
  if (!isUtf8(value)) return `base64 ${value.toString('base64')}`
  try {
    return JSON.stringify(JSON.parse(value.toString('utf8')), null, 2)
  } catch {
    return JSON.stringify(value.toString('utf8'))
  }
}
