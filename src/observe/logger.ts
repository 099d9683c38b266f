import { type DestinationStream, destination, type Logger, pino } from 'pino'
import { prettyFactory } from 'pino-pretty'
import { createRedactor } from './redact.ts'

export type { Logger } from 'pino'

export interface LoggerOptions {
  readonly level: string
  /** For people at a terminal; otherwise one JSON object a line. */
  readonly pretty: boolean
  /** Secret values. A function is asked on every line, so that secrets learnt after the logger was made are covered too. */
  readonly redact: readonly string[] | (() => readonly string[])
  /** Default: stderr. Data belongs on stdout, logs do not. */
  readonly destination?: DestinationStream
  /** Default: on a terminal, unless `NO_COLOR` is set. */
  readonly color?: boolean
}

/** A logger that writes every line before the call returns, so that nothing is lost when the process ends right after it. */
export function createLogger(options: LoggerOptions): Logger {
  const output = options.destination ?? destination({ fd: 2, sync: true })
  const { redact } = options
  const redactLine = createRedactor(typeof redact === 'function' ? redact : () => redact)
  const render = options.pretty ? prettyFactory(prettyOptions(options.color ?? terminalHasColor())) : undefined
  const stream: DestinationStream = {
    write(line) {
      const safe = redactLine(line)
      output.write(render === undefined ? safe : render(safe))
    },
  }
  return pino({ level: options.level, timestamp: pino.stdTimeFunctions.isoTime, base: null }, stream)
}

function prettyOptions(colorize: boolean): Parameters<typeof prettyFactory>[0] {
  return { colorize, translateTime: 'SYS:HH:MM:ss', singleLine: true, ignore: 'pid,hostname' }
}

function terminalHasColor(): boolean {
  return process.stderr.isTTY === true && (process.env['NO_COLOR'] ?? '') === ''
}
