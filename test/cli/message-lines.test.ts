import { expect, test } from 'vitest'
import { MessageLines } from '../../src/cli/message-lines.ts'
import type { MessageView } from '../../src/inspector/message-view.ts'

function message(id: number, changes: Partial<MessageView> = {}): MessageView {
  const at = new Date(2026, 0, 2, 3, 4, 5).getTime()
  const place = { topic: 'orders', partition: 0, offset: id, key: null }
  return { id, at, ...place, event: 'paid', preview: '{}', state: 'done', ms: 3, generation: 1, routes: [], failures: [], ...changes }
}

function terminal() {
  const lines: string[] = []
  const clock = { now: 0 }
  const made = new MessageLines({ color: false, write: line => lines.push(line), now: () => clock.now })
  const take = (messages: readonly MessageView[], leftOut = 0) => made.take({ messages, seen: 0, leftOut }, text => text)
  return { lines, clock, take }
}

test('a burst is twenty lines and a count, and its failures have lines of their own', () => {
  const { lines, clock, take } = terminal()
  const failed: Partial<MessageView> = {
    state: 'dead-lettered',
    failures: [{ route: 'a/b', action: '0:invoke', attempts: 1, outcome: 'dead-letter', topic: 'dlq', error: 'Error: x' }],
  }
  take([...Array.from({ length: 40 }, (_, n) => message(n)), message(40, failed)], 1_210)
  expect(lines.length).toBe(21)
  expect(lines.at(-1)).toBe('03:04:05 ✕ orders paid · dead-lettered to dlq: Error: x · 3.0 ms')
  clock.now = 1_000
  take([message(41)], 1_210)
  expect(lines.slice(21)).toEqual(['         ... and 1,230 more', '03:04:05 ✓ orders paid no route took it · 3.0 ms'])
})

test('a message has one line, when it has ended', () => {
  const { lines, take } = terminal()
  take([message(1, { state: 'running', ms: null })])
  take([message(1, { state: 'retrying', ms: null })])
  expect(lines).toEqual([])
  take([message(1)])
  take([message(1)])
  expect(lines.length).toBe(1)
})
