import { afterEach, expect, test, vi } from 'vitest'
import { ProgressLine } from '../../src/cli/progress-line.ts'

afterEach(() => vi.restoreAllMocks())

/** What stands on a terminal after `done` of `total`. */
function shown(done: number, total: number): string {
  const isTerminal = Object.getOwnPropertyDescriptor(process.stderr, 'isTTY')
  Object.defineProperty(process.stderr, 'isTTY', { value: true, configurable: true })
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  new ProgressLine(total, 'records read').show(done)
  if (isTerminal === undefined) Reflect.deleteProperty(process.stderr, 'isTTY')
  else Object.defineProperty(process.stderr, 'isTTY', isTerminal)
  return write.mock.calls.map(([text]) => String(text)).join('')
}

test.each([
  [0, 4_000, '\r[........................] 0 of 4,000 records read'],
  [1_000, 4_000, '\r[######..................] 1,000 of 4,000 records read'],
  [4_000, 4_000, '\r[########################] 4,000 of 4,000 records read'],
  [0, 0, '\r[........................] 0 of 0 records read'],
])('a progress line at %i of %i', (done, total, line) => {
  expect(shown(done, total)).toBe(line)
})
