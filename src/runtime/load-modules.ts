import { createJiti, type Jiti, type JitiOptions } from 'jiti'
import { keepWholeStacks } from '../engine/stack-of.ts'

let isStarted = false

/**
 * What loads modules written in TypeScript or JavaScript. Babel, which it reads them with, changes the stacks of all errors of the process when it
 * first runs: 50 frames instead of 10, put together by a function of its own, so that a message that fails costs several times as much. It runs
 * here on nothing, and what it has changed is put back before any module of a project can have changed it too.
 */
export function moduleLoader(from: string, options: JitiOptions): Jiti {
  const jiti = createJiti(from, { ...options, fsCache: false })
  if (isStarted) return jiti
  isStarted = true
  if (process.sourceMapsEnabled === true) keepWholeStacks()
  const { stackTraceLimit, prepareStackTrace } = Error
  jiti.transform({ source: '', filename: from })
  Error.stackTraceLimit = stackTraceLimit
  Error.prepareStackTrace = prepareStackTrace
  return jiti
}
