import type { Problem } from './problem.ts'

/** Problems for programs: one JSON document. Every key is always there; `range` and `hint` are null where a problem has none. */
export function formatJson(problems: readonly Problem[]): string {
  const plain = problems.map(({ code, severity, message, file, range, hint }) => ({
    code,
    severity,
    message,
    file,
    range: range ?? null,
    hint: hint ?? null,
  }))
  return `${JSON.stringify({ problems: plain }, null, 2)}\n`
}
