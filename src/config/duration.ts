const pattern = /^(\d{1,15}(?:\.\d{1,6})?)(ms|s|m|h|d)$/

const unitMs: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
])

/** Longest duration a timer of the runtime can wait, in ms: timers hold 31 bits (about 24 days). */
export const longestTimerMs = 2_147_483_647

/** `100ms 5s 2m 24h 7d` in whole milliseconds; undefined where the text is no duration. */
export function parseDuration(text: string): number | undefined {
  const match = pattern.exec(text)
  const unit = unitMs.get(match?.[2] ?? '')
  if (match?.[1] === undefined || unit === undefined) return undefined
  const milliseconds = Number(match[1]) * unit
  return Number.isSafeInteger(Math.round(milliseconds)) ? Math.round(milliseconds) : undefined
}

/** The shortest text that `parseDuration` reads back as the same number of milliseconds. */
export function formatDuration(milliseconds: number): string {
  let text = `${milliseconds}ms`
  for (const [unit, size] of unitMs) {
    if (milliseconds !== 0 && milliseconds % size === 0) text = `${milliseconds / size}${unit}`
  }
  return text
}
