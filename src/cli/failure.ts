import { CommanderError } from 'commander'
import { BrokerError } from '../brokers/broker.ts'
import { formatPretty } from '../diagnostics/format-pretty.ts'
import { StartError } from '../runtime/start-error.ts'
import { hasColor, printError } from './output.ts'

/** A command cannot do what was asked, for a reason the person can mend. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure'
  /** 1: something is wrong with what was written; 2: the command could not run. */
  readonly exitCode: 1 | 2
  readonly hint: string | undefined
  constructor(exitCode: 1 | 2, message: string, hint?: string, cause?: unknown) {
    super(message, { cause })
    this.exitCode = exitCode
    this.hint = hint
  }
}

/** Says on stderr what went wrong and gives the exit code. */
export function reportFailure(error: unknown): number {
  // Commander has printed its own message, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (error instanceof CommandFailure) return explained(error.message, error.hint, error.exitCode)
  if (error instanceof BrokerError) return explained(error.message, undefined, 2)
  if (error instanceof StartError) {
    if (error.code !== 'problems') return explained(error.message, error.hint, 2)
    printError(formatPretty(error.problems, error.sources, { color: hasColor(process.stderr) }))
    return 1
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
  printError(`${stack}\n\nThis is a fault in router, not in your project. Please report it with the lines above and what you ran.`)
  return 2
}

function explained(message: string, hint: string | undefined, exitCode: number): number {
  printError(`error: ${message}${hint === undefined ? '' : `\n  hint: ${hint}`}`)
  return exitCode
}
