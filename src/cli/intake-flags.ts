import type { Command } from 'commander'
import type { RouterOptions } from '../runtime/router-options.ts'
import { logLevelOption, portNumber, wholeNumber } from './flags.ts'
import type { GlobalOptions } from './project-root.ts'

/** Flags of the commands that consume in production: how much is taken from the broker, and when it is enough. */
export interface IntakeOptions extends GlobalOptions {
  readonly broker?: string
  readonly batchSize?: number
  readonly timeout?: number
  readonly maxMessages?: number
  readonly stopWhenEmpty?: true
  readonly port?: number
  readonly logLevel: string
}

/** `files` says what stands where a flag is not given. */
export function addIntakeFlags(command: Command, files: 'route files' | 'none'): Command {
  const usual = (value: number) => (files === 'none' ? `default: ${value}` : `default: the file's, else ${value}`)
  return command
    .option('--broker <name>', `the broker${files === 'none' ? '' : ' of route files that name none'} (default: router.yaml's)`)
    .option('--batch-size <n>', `most messages taken at once (${usual(100)})`, wholeNumber(1))
    .option('--timeout <ms>', `longest wait for a fetch on a quiet topic (${usual(1000)})`, wholeNumber(1))
    .option('--max-messages <n>', 'stop after this many messages in all (default: 0, no limit)', wholeNumber(0))
    .option('--stop-when-empty', 'stop when every topic is read to its end')
    .option('--port <port>', "the WebSocket server's port instead of router.yaml's", portNumber)
    .addOption(logLevelOption())
}

export function intakeOf({ broker, batchSize, timeout, maxMessages, stopWhenEmpty, port }: IntakeOptions): Partial<RouterOptions> {
  return { broker, batchSize, timeoutMs: timeout, maxMessages, stopWhenEmpty, port }
}
