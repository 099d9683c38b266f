export function leadingSpace(text: string): number {
  return text.length - text.trimStart().length
}

/** The offset behind the first of `wanted` after blanks, comments and `skipped`; `from` where something else stands there. */
export function skipPast(text: string, from: number, skipped: string, wanted: string): number {
  let at = from
  while (at < text.length) {
    const character = text.charAt(at)
    if (wanted.includes(character)) return at + 1
    if (character === '#') at = endOfComment(text, at)
    else if (' \t\r\n'.includes(character) || skipped.includes(character)) at += 1
    else return from
  }
  return from
}

function endOfComment(text: string, from: number): number {
  const end = text.indexOf('\n', from)
  return end === -1 ? text.length : end
}
