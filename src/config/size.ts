const pattern = /^(\d{1,15}(?:\.\d{1,6})?)(b|kb|mb)$/

const unitBytes: ReadonlyMap<string, number> = new Map([
  ['b', 1],
  ['kb', 1_024],
  ['mb', 1_048_576],
])

/** `512b 64kb 1mb` in whole bytes (1024 to the next unit); undefined where the text is no size. */
export function parseSize(text: string): number | undefined {
  const match = pattern.exec(text)
  const unit = unitBytes.get(match?.[2] ?? '')
  if (match?.[1] === undefined || unit === undefined) return undefined
  const bytes = Math.round(Number(match[1]) * unit)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** The shortest text that `parseSize` reads back as the same number of bytes. */
export function formatSize(bytes: number): string {
  let text = `${bytes}b`
  for (const [unit, size] of unitBytes) {
    if (bytes !== 0 && bytes % size === 0) text = `${bytes / size}${unit}`
  }
  return text
}
