/** A channel pattern, taken apart: `*` stands for any run of characters. */
export interface ChannelPattern {
  /** What stands before the first `*`; of a pattern without one, all of it. */
  readonly start: string
  /** What stands between the stars. */
  readonly middles: readonly string[]
  /** What stands after the last `*`; undefined for a pattern without one. */
  readonly end: string | undefined
}

export function parseChannelPattern(pattern: string): ChannelPattern {
  const [start = '', ...parts] = pattern.split('*')
  return { start, middles: parts.slice(0, -1), end: parts.at(-1) }
}

export function matchesChannel({ start, middles, end }: ChannelPattern, channel: string): boolean {
  if (end === undefined) return channel === start
  if (channel.length < start.length + end.length || !channel.startsWith(start) || !channel.endsWith(end)) return false
  // The first place that fits leaves the most room for what follows, so one pass decides.
  let from = start.length
  for (const middle of middles) {
    const at = channel.indexOf(middle, from)
    if (at === -1) return false
    from = at + middle.length
  }
  return from <= channel.length - end.length
}

/** Sorts patterns so that the first that matches is the one that counts: full names first, then the longest start. */
export function byPrecedence(a: ChannelPattern, b: ChannelPattern): number {
  return Number(a.end !== undefined) - Number(b.end !== undefined) || b.start.length - a.start.length
}

/** True where some channel matches both and neither counts more. Between equal starts, what the stars stand for can hold every middle. */
export function arePatternsTied(a: ChannelPattern, b: ChannelPattern): boolean {
  if (a.start !== b.start) return false
  if (a.end === undefined || b.end === undefined) return a.end === b.end
  return a.end.endsWith(b.end) || b.end.endsWith(a.end)
}
