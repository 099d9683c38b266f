import type { ValuePath } from './source-document.ts'

/** A path as one text, for maps and sets: a JSON Pointer (RFC 6901). */
export function toPointer(path: ValuePath): string {
  return path.map(part => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

/** The parts of a JSON Pointer; list indexes stay text. */
export function fromPointer(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** How people write the end of a path: `attempts`, `topics[1]`. */
export function describePath(path: ValuePath): string {
  let text = ''
  for (const part of path.slice(-2)) {
    if (typeof part === 'string') text = part
    else text += `[${part}]`
  }
  return text
}
