import { writeFileSync } from 'node:fs'

/** Writes how the run ended, as JSON, to the file named by `SIGNALBOX_TEST_REPORT`. */
export default class CountReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const report = { passed: 0, failed: unhandledErrors.length, skipped: [], casesByFile: {} }
    for (const module of modules) {
      for (const test of module.children.allTests()) count(report, module, test)
      // A file that cannot be loaded and a hook that fails belong to no test.
      if (module.errors().length > 0) report.failed++
      for (const suite of module.children.allSuites()) if (suite.errors().length > 0) report.failed++
    }
    const file = process.env.SIGNALBOX_TEST_REPORT
    if (file !== undefined) writeFileSync(file, JSON.stringify(report))
  }
}

function count(report, module, test) {
  const { state, note } = test.result()
  const file = module.relativeModuleId
  // One that cannot run here is a case all the same: it is told among the skipped.
  if (state !== 'failed') report.casesByFile[file] = (report.casesByFile[file] ?? 0) + 1
  if (state === 'passed') report.passed++
  else if (state === 'failed') report.failed++
  else report.skipped.push({ name: `${file} > ${test.fullName}`, reason: note })
}
