/** `late` and `aborted`: nobody waits for the work any more, but it goes on. */
export type Limited<T> = { readonly kind: 'ended'; readonly value: T } | { readonly kind: 'late' } | { readonly kind: 'aborted' }

/** Waits for work at most `ms`, and no longer than until `signal` aborts. Rejects with what the work rejects with. */
export function withinLimit<T>(work: PromiseLike<T>, ms: number, signal?: AbortSignal): Promise<Limited<T>> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
    const abort = () => {
      end()
      resolve({ kind: 'aborted' })
    }
    const timer = setTimeout(() => {
      end()
      resolve({ kind: 'late' })
    }, ms)
    signal?.addEventListener('abort', abort)
    if (signal?.aborted === true) abort()
    work.then(
      value => {
        end()
        resolve({ kind: 'ended', value })
      },
      (error: unknown) => {
        end()
        reject(error)
      },
    )
  })
}
