import { parseDuration } from '../config/duration.ts'
import { CommandFailure } from './failure.ts'

/** Epoch milliseconds for `1h` (ago) or a time. Throws CommandFailure. */
export function pastTime(flag: string, text: string): number {
  const ago = parseDuration(text)
  const timestamp = ago === undefined ? Date.parse(text) : Date.now() - ago
  if (!Number.isNaN(timestamp)) return timestamp
  throw new CommandFailure(2, `${flag} ${text}: expected a duration or a time`, 'such as 1h, 7d or 2026-01-31T12:00:00Z')
}
