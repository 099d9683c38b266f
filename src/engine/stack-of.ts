/** Where the router's own code lies: modules are known by their addresses, or by their paths to loaders that read them in another way. */
const address = new URL('..', import.meta.url)
const path = decodeURIComponent(address.pathname)

const standard = Error.prepareStackTrace

let areWhole = false

/** For a process with source maps: they hold only for stacks that nobody else puts together. */
export function keepWholeStacks(): void {
  areWhole = true
}

/**
 * The stack of an error that an action failed with, without the frames of the router below it: they say nothing about the failure, and putting their
 * names together costs more than all else about it. Undefined where there is none, or it cannot be read.
 */
export function stackOf(error: Error | undefined): string | undefined {
  if (error === undefined) return undefined
  // Whoever has put in something else has his say.
  const isStandard = !areWhole && Error.prepareStackTrace === standard
  if (isStandard) Error.prepareStackTrace = withoutOurs
  try {
    return typeof error.stack === 'string' ? error.stack : undefined
  } catch {
    return undefined
  } finally {
    if (isStandard) Error.prepareStackTrace = standard
  }
}

/** What was thrown by the router itself keeps them. */
function withoutOurs(error: Error, frames: readonly NodeJS.CallSite[]): string {
  const ours = frames.findIndex(isOurs)
  const shown = ours > 0 ? frames.slice(0, ours) : frames
  return [`${error.name}: ${error.message}`, ...shown.map(frame => `    at ${frame}`)].join('\n')
}

function isOurs(frame: NodeJS.CallSite): boolean {
  const file = frame.getFileName()
  return file?.startsWith(address.href) === true || file?.startsWith(path) === true
}
