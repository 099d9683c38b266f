import { describeCode } from './codes.ts'
import type { Problem, SourceRange } from './problem.ts'

/**
 * Problems as SARIF 2.1.0, which code scanning services take: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
 * `folder` is the project's, relative to where paths start, with a final slash; empty for the project's own.
 */
export function formatSarif(problems: readonly Problem[], version: string, folder = ''): string {
  const ruleIds = [...new Set(problems.map(({ code }) => code))].sort()
  const rules = ruleIds.map(id => ({ id, shortDescription: { text: describeCode(id) }, help: { text: `router help ${id}` } }))
  const results = problems.map(problem => ({
    ruleId: problem.code,
    ruleIndex: ruleIds.indexOf(problem.code),
    level: problem.severity,
    message: { text: problem.hint === undefined ? problem.message : `${problem.message}. ${problem.hint}` },
    locations: [location(problem, folder)],
    ...(problem.related === undefined
      ? {}
      : { relatedLocations: problem.related.map(related => location(related, folder, related.message)) }),
  }))
  const log = {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [{ tool: { driver: { name: 'signalbox', version, rules } }, columnKind: 'utf16CodeUnits', results }],
  }
  return `${JSON.stringify(log, null, 2)}\n`
}

function location({ file, range }: Pick<Problem, 'file' | 'range'>, folder: string, message?: string): object {
  const artifactLocation = { uri: encodeURI(`${folder}${file}`) }
  return {
    // A file as a whole is its first line: services refuse a result without a region.
    physicalLocation: { artifactLocation, region: range === undefined ? { startLine: 1 } : region(range) },
    ...(message === undefined ? {} : { message: { text: message } }),
  }
}

function region({ start, end }: SourceRange): object {
  return { startLine: start.line, startColumn: start.column, endLine: end.line, endColumn: end.column }
}
