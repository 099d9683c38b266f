import { RE2JS } from 're2js'
import type { ValuePath } from '../config/source-document.ts'
import type { DocumentReport } from './document-report.ts'

/** Compiles RE2 (linear time, no catastrophic patterns) to a search anywhere in a text. Undefined after reporting. */
export function compilePattern(report: DocumentReport, path: ValuePath, source: string): ((text: string) => boolean) | undefined {
  let pattern: RE2JS
  try {
    pattern = RE2JS.compile(source)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    report.at(path, 'regex-syntax', `The regular expression is not valid RE2: ${reason}`, 'RE2 has no look-around and no back-references')
    return undefined
  }
  return text => pattern.test(text)
}
