import type { Problem } from '../diagnostics/problem.ts'

export type StartErrorCode = 'problems' | 'unknown-broker' | 'bad-channels' | 'port-in-use' | 'cannot-listen' | 'store'

/** The router cannot start, for a reason that a person can mend. */
export class StartError extends Error {
  override readonly name = 'StartError'
  readonly code: StartErrorCode
  readonly hint: string | undefined
  /** With code `problems`: what is wrong with the configuration, and the files' texts for code frames. */
  readonly problems: readonly Problem[]
  readonly sources: ReadonlyMap<string, string>

  constructor(
    code: StartErrorCode,
    message: string,
    details: { hint?: string; problems?: readonly Problem[]; sources?: ReadonlyMap<string, string>; cause?: unknown } = {},
  ) {
    super(message, { cause: details.cause })
    this.code = code
    this.hint = details.hint
    this.problems = details.problems ?? []
    this.sources = details.sources ?? new Map()
  }
}
