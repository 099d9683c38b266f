import { displayWidth, visible } from '../diagnostics/display-width.ts'

/** Columns wide enough for what they hold, two spaces apart, without spaces at the end of a line. */
export function textTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, ...rows].map(row => row.map(visible))
  const widths = header.map((_, column) => Math.max(...lines.map(row => displayWidth(row[column] ?? ''))))
  const pad = (text: string, column: number) => text + ' '.repeat(Math.max((widths[column] ?? 0) - displayWidth(text), 0))
  return lines.map(row => row.map(pad).join('  ').trimEnd()).join('\n')
}
