import { untested } from './format-test-report.ts'
import type { TestFailure, TestReport, TestResult } from './run-tests.ts'

/** A report for programs. */
export function testReportJson({ results, coverage }: TestReport): object {
  const failed = results.filter(({ failures }) => failures.length > 0).length
  return {
    passed: results.length - failed,
    failed,
    tests: results.map(({ file, name, line, failures }) => ({
      file,
      name,
      line,
      passed: failures.length === 0,
      failures: failures.map(({ message, range, difference }) => ({
        message,
        line: range.start.line,
        column: range.start.column,
        expected: difference?.expected ?? null,
        actual: difference?.actual ?? null,
      })),
    })),
    coverage: { routes: Object.fromEntries(coverage), never: untested(coverage) },
  }
}

/** JUnit XML as CI servers read it (https://github.com/testmoapp/junitxml). */
export function testReportJunit({ results }: TestReport): string {
  const files = [...new Set(results.map(({ file }) => file))]
  const suites = files.map(file =>
    suite(
      file,
      results.filter(result => result.file === file),
    ),
  )
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites ${counts(results)}>\n${suites.join('')}</testsuites>\n`
}

function suite(file: string, results: readonly TestResult[]): string {
  const cases = results.map(({ name, line, failures }) => {
    const head = `    <testcase classname="${xml(file)}" name="${xml(name)}" file="${xml(file)}" line="${line}"`
    return failures.length === 0 ? `${head}/>\n` : `${head}>\n${failures.map(failure => failed(file, failure)).join('')}    </testcase>\n`
  })
  return `  <testsuite name="${xml(file)}" ${counts(results)}>\n${cases.join('')}  </testsuite>\n`
}

function failed(file: string, { message, range, difference }: TestFailure): string {
  const place = `${file}:${range.start.line}:${range.start.column}`
  const detail =
    difference === undefined ? '' : `\nexpected: ${JSON.stringify(difference.expected)}\nactual: ${JSON.stringify(difference.actual)}`
  return `      <failure message="${xml(message)}">${xml(`${place}: ${message}${detail}`)}</failure>\n`
}

function counts(results: readonly TestResult[]): string {
  return `tests="${results.length}" failures="${results.filter(({ failures }) => failures.length > 0).length}"`
}

/** Escapes for attributes and texts; control characters that XML 1.0 cannot hold become U+FFFD. */
function xml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replace(/(?![\t\n\r])\p{Cc}/gu, '\uFFFD')
}
