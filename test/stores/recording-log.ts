import type { StoreLog } from '../../src/stores/idempotency-store.ts'

/** Keeps warnings. */
export function recordingLog(): { readonly log: StoreLog; readonly lines: string[] } {
  const lines: string[] = []
  return { lines, log: { debug: () => {}, warn: (_fields, message) => lines.push(message) } }
}
