import { InvalidArgumentError, Option } from 'commander'

/** Reads a flag's value as a whole number within the limits; commander turns the error into a usage message. */
export function wholeNumber(least: number, most: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return text => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= least && value <= most) return value
    const upTo = most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most}`
    throw new InvalidArgumentError(`Expected a whole number from ${least}${upTo}.`)
  }
}

export const portNumber = wholeNumber(0, 65_535)

export function logLevelOption(): Option {
  return new Option('--log-level <level>', 'the least that is logged')
    .choices(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
}
