import { relative, resolve, sep } from 'node:path'
import { type Command, Option } from 'commander'
import type { TestReport } from '../../testing/run-tests.ts'
import { CommandFailure } from '../failure.ts'
import { hasColor, print, printError } from '../output.ts'
import { type GlobalOptions, projectRoot } from '../project-root.ts'

interface TestOptions extends GlobalOptions {
  readonly format: 'pretty' | 'json' | 'junit'
  readonly watch?: true
}

export function addTest(program: Command): void {
  program
    .command('test')
    .summary('run the tests of routes')
    .description(
      'Runs *.test.yaml: given messages against expected broadcasts, calls and emits. Needs no broker; retries take no time.\nExit code 0: all passed; 1: some failed; 2: they could not be run.',
    )
    .argument('[files...]', 'test files or folders (default: all below routes/)')
    .addOption(new Option('--format <format>', 'how to print').choices(['pretty', 'json', 'junit']).default('pretty'))
    .option('--watch', 'run again after every edit')
    .addHelpText(
      'after',
      '\nExamples:\n  $ router test\n  $ router test routes/orders.test.yaml --watch\n  $ router test --format junit > report.xml\n',
    )
    .action(async (files: readonly string[], _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<TestOptions>()
      const root = projectRoot(options)
      if (options.watch === true) await watchAndTest(root, files, options)
      else process.exitCode = exitCodeOf(await test(root, files, options))
    })
}

async function test(root: string, paths: readonly string[], { format }: TestOptions): Promise<TestReport> {
  const [{ runTests }, files] = await Promise.all([import('../../testing/run-tests.ts'), chosenFiles(root, paths)])
  const report = await runTests({ root, env: process.env, files })
  if (report.problems.length > 0) {
    const { formatPretty } = await import('../../diagnostics/format-pretty.ts')
    printError(formatPretty(report.problems, report.sources, { color: hasColor(process.stderr) }))
    return report
  }
  if (format === 'pretty') {
    const { formatTestReport } = await import('../../testing/format-test-report.ts')
    print(formatTestReport(report, { color: hasColor(process.stdout) }))
  } else {
    const { testReportJson, testReportJunit } = await import('../../testing/test-report-files.ts')
    print(format === 'json' ? JSON.stringify(testReportJson(report), null, 2) : testReportJunit(report))
  }
  return report
}

function exitCodeOf({ problems, results }: TestReport): number {
  return problems.length > 0 || results.some(({ failures }) => failures.length > 0) ? 1 : 0
}

async function chosenFiles(root: string, paths: readonly string[]): Promise<readonly string[]> {
  const { findTestFiles } = await import('../../testing/find-test-files.ts')
  const named = paths.length === 0 ? ['routes'] : paths.map(path => relative(root, resolve(path)).split(sep).join('/'))
  const files = named.flatMap((path, index) => {
    const found = path.startsWith('..') ? undefined : findTestFiles(root, path)
    if (found === undefined && paths.length > 0) throw new CommandFailure(2, `${paths[index]} does not exist in ${root}`)
    return found ?? []
  })
  if (files.length === 0)
    throw new CommandFailure(2, 'there are no *.test.yaml files', 'write one beside a route file: routes/orders.test.yaml')
  return [...new Set(files)]
}

/** Until Ctrl-C. What goes wrong in one run is printed; the next edit may mend it. */
async function watchAndTest(root: string, paths: readonly string[], options: TestOptions): Promise<void> {
  const [{ ProjectWatch }, { reportFailure }] = await Promise.all([import('../../runtime/project-watch.ts'), import('../failure.ts')])
  let running: Promise<unknown> | undefined
  let again = false
  const run = async (): Promise<void> => {
    do {
      again = false
      await test(root, paths, options).then(report => watch.followFiles(report.readFiles), reportFailure)
      printError('waiting for edits; Ctrl-C ends')
    } while (again)
    running = undefined
  }
  const start = (): void => {
    if (running === undefined) running = run()
    else again = true
  }
  const watch = new ProjectWatch({ root, onChange: start, onError: reportFailure })
  await watch.ready()
  start()
  await new Promise<void>(end => {
    process.once('SIGINT', end)
    process.once('SIGTERM', end)
  })
  await watch.close()
  await running
}
