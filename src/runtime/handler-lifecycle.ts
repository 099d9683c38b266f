import { withinLimit } from './time-limit.ts'

export type Hook = () => unknown

/** What a handler module does before its first call and after its last. */
export interface Lifecycle {
  readonly module: string
  readonly setup: Hook | undefined
  readonly teardown: Hook | undefined
}

export interface LifecycleLimits {
  /** Longest wait for one `setup()`, in ms. */
  readonly setupMs: number
  /** Longest wait for the calls of a handler that is to be torn down, and for its `teardown()`, in ms. */
  readonly teardownMs: number
}

export const lifecycleLimits: LifecycleLimits = { setupMs: 30_000, teardownMs: 10_000 }

/** A handler module that cannot be used: its file and why, in one sentence. */
export interface HandlerFault {
  readonly module: string
  readonly message: string
}

/**
 * Sets modules up one after the other, and returns what tears them down. Where one fails or hangs, those before it are torn down again; so is one that
 * ends too late. Throws the signal's reason when it aborts.
 */
export async function setUp(
  lifecycles: Iterable<Lifecycle>,
  limits: LifecycleLimits,
  signal: AbortSignal | undefined,
): Promise<readonly Hook[] | HandlerFault> {
  const teardowns: Hook[] = []
  for (const { module, setup, teardown } of lifecycles) {
    const message = await setupFailure(setup, teardown, limits.setupMs, signal)
    if (message !== undefined) {
      await tearDown(teardowns, limits.teardownMs)
      signal?.throwIfAborted()
      return { module, message }
    }
    if (teardown !== undefined) teardowns.push(teardown)
  }
  return teardowns
}

/** Undefined where it ended well. */
async function setupFailure(
  setup: Hook | undefined,
  teardown: Hook | undefined,
  limitMs: number,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const work = (async () => setup?.())()
  try {
    const { kind } = await withinLimit(work, limitMs, signal)
    if (kind === 'ended') return undefined
    // What it opens in the end is closed again; nobody is left to hear how that goes.
    work.then(() => teardown?.()).catch(() => {})
    return `setup() has not ended within ${limitMs / 1000} s`
  } catch (error) {
    return `setup() failed: ${error instanceof Error ? error.message : String(error)}`
  }
}

/** Awaits all of them together, up to the limit. Failures are returned, not thrown. */
export async function tearDown(teardowns: readonly Hook[], limitMs: number): Promise<readonly unknown[]> {
  const ends = await Promise.allSettled(
    teardowns.map(async teardown => {
      const { kind } = await withinLimit((async () => teardown())(), limitMs)
      if (kind !== 'ended') throw new Error(`teardown() has not ended within ${limitMs / 1000} s`)
    }),
  )
  return ends.flatMap(end => (end.status === 'rejected' ? [end.reason] : []))
}
