import type { Problem } from './problem.ts'

/**
 * Problems as workflow commands of GitHub Actions, one line each, which it shows beside the changed lines.
 * https://docs.github.com/actions/reference/workflow-commands-for-github-actions#setting-an-error-message
 * `folder` is the project's, relative to where paths start, with a final slash; empty for the project's own.
 */
export function formatGithub(problems: readonly Problem[], folder = ''): string {
  return problems.map(problem => `${command(problem, folder)}\n`).join('')
}

function command({ severity, file, range, code, message, hint }: Problem, folder: string): string {
  const isOneLine = range !== undefined && range.end.line === range.start.line
  const properties = {
    file: `${folder}${file}`,
    line: range?.start.line,
    endLine: range?.end.line,
    // Columns of a range over several lines would be read as columns of its first line.
    col: isOneLine ? range.start.column : undefined,
    endColumn: isOneLine ? range.end.column : undefined,
    title: code,
  }
  const list = Object.entries(properties).flatMap(([name, value]) =>
    value === undefined ? [] : `${name}=${escapeProperty(String(value))}`,
  )
  return `::${severity} ${list.join(',')}::${escapeText(hint === undefined ? message : `${message}\nhint: ${hint}`)}`
}

function escapeText(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
}

function escapeProperty(text: string): string {
  return escapeText(text).replaceAll(':', '%3A').replaceAll(',', '%2C')
}
