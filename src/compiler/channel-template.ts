import { matchesChannel, parseChannelPattern } from '../config/channel-pattern.ts'

/** Some channel of this name matches: of one with templates only what stands before the first is known. */
export function mayMatch(pattern: string, channel: string): boolean {
  const template = channel.indexOf('{{')
  const parsed = parseChannelPattern(pattern)
  if (template === -1) return matchesChannel(parsed, channel)
  const start = channel.slice(0, template)
  return parsed.end === undefined ? parsed.start.startsWith(start) : parsed.start.startsWith(start) || start.startsWith(parsed.start)
}
