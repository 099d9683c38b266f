import type { SourceDocument } from '../config/source-document.ts'
import type { Problem, SourceRange } from '../diagnostics/problem.ts'
import { compareOutcome, type Mismatch } from './compare-outcome.ts'
import { type CaseOutcome, runCase } from './run-case.ts'
import { completeGiven, handlerNames, type Mock, type TestCase } from './test-file.ts'
import { compileTestProject, type TestProject } from './test-project.ts'

export interface TestFailure {
  readonly message: string
  readonly range: SourceRange
  /** Absent where the case could not be compared. */
  readonly difference?: { readonly expected: unknown; readonly actual: unknown }
}

export interface TestResult {
  readonly file: string
  readonly name: string
  readonly line: number
  readonly failures: readonly TestFailure[]
}

export interface TestReport {
  /** Of the project or the test files: with one of these, nothing was run. */
  readonly problems: readonly Problem[]
  readonly sources: ReadonlyMap<string, string>
  readonly results: readonly TestResult[]
  /** Cases that hit each route. */
  readonly coverage: ReadonlyMap<string, number>
  /** All that was looked at: relative to the root, or absolute. */
  readonly readFiles: readonly string[]
}

export interface TestOptions {
  readonly root: string
  readonly env: NodeJS.ProcessEnv
  /** Test files relative to the root. */
  readonly files: readonly string[]
}

/** Runs every case of the files. Handlers that are not mocked run for real; nothing is sent anywhere. */
export async function runTests(options: TestOptions): Promise<TestReport> {
  const project = await compileTestProject(options)
  const { problems, sources, readFiles } = project
  if (problems.some(({ severity }) => severity === 'error')) return { problems, sources, results: [], coverage: new Map(), readFiles }
  const results: TestResult[] = []
  const coverage = new Map(project.routes.map(id => [id, 0]))
  try {
    for (const { document, cases } of project.files)
      for (const testCase of cases) {
        const { result, routes } = await runOne(project, document, testCase)
        results.push(result)
        for (const id of routes) coverage.set(id, (coverage.get(id) ?? 0) + 1)
      }
  } finally {
    await project.close()
  }
  return { problems: [], sources, results, coverage, readFiles }
}

async function runOne(
  project: TestProject,
  document: SourceDocument,
  testCase: TestCase,
): Promise<{ readonly result: TestResult; readonly routes: readonly string[] }> {
  const { name, path, expect } = testCase
  const { file } = document
  const finished = (failures: readonly TestFailure[], routes: readonly string[] = []) => ({
    result: { file, name, line: document.rangeOf([...path, 'name']).start.line, failures },
    routes,
  })
  const given = completeGiven(project.plan, file, testCase.given)
  if (given === undefined) {
    const message = 'the message has no `topic`, and no route file stands beside this one to take it from'
    return finished([{ message, range: document.rangeOf([...path, 'given']) }])
  }
  const mocks = resolveMocks(project, document, testCase)
  if (Array.isArray(mocks)) return finished(mocks)
  const outcome = await runCase({ plan: project.plan, recorder: project.recorder, given, mocks: new Map(mocks) })
  const failures = [...complaints(document, testCase, outcome), ...compareOutcome(expect, outcome, file).map(toFailure)]
  return finished(failures, outcome.routes)

  function toFailure({ path: below, message, expected, actual }: Mismatch): TestFailure {
    return { message, range: document.rangeOf([...path, 'expect', ...below]), difference: { expected, actual } }
  }
}

/** What went wrong besides expectations. */
function complaints(document: SourceDocument, { path }: TestCase, { unread, isUnfinished }: CaseOutcome): readonly TestFailure[] {
  const range = document.rangeOf([...path, 'given'])
  return [
    ...unread.map(topic => ({ message: `no route file reads the topic ${topic}`, range })),
    ...(isUnfinished ? [{ message: 'something was still at work after 24 hours of virtual time', range }] : []),
  ]
}

function resolveMocks(
  project: TestProject,
  document: SourceDocument,
  { mocks, path }: TestCase,
): ReadonlyMap<string, Mock> | TestFailure[] {
  const resolved = new Map<string, Mock>()
  const failures: TestFailure[] = []
  for (const [written, mock] of Object.entries(mocks)) {
    const name = handlerNames(document.file, written).find(candidate => project.handlers.includes(candidate))
    if (name !== undefined) resolved.set(name, mock)
    else {
      const known = project.handlers.length === 0 ? 'no route invokes a handler' : `handlers are ${project.handlers.join(', ')}`
      failures.push({ message: `no route invokes \`${written}\`: ${known}`, range: document.keyRangeOf([...path, 'mocks', written]) })
    }
  }
  return failures.length === 0 ? resolved : failures
}
