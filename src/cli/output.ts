/** Data goes to stdout ... */
export function print(text: string): void {
  process.stdout.write(endWithNewline(text))
}

/** ... and everything else to stderr. */
export function printError(text: string): void {
  process.stderr.write(endWithNewline(text))
}

/** Colours are for terminals, and for those who have not said no (https://no-color.org). */
export function hasColor(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): boolean {
  return stream.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb'
}

function endWithNewline(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`
}
