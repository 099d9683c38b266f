import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import type { Subject } from './subject.ts'

const lookEveryMs = 100

/** Looks at a group's committed offsets again and again; `stop` answers with every time one went back. */
export function watchCommits(subject: Subject): { stop(): Promise<readonly string[]> } {
  const stopping = new AbortController()
  const backwards: string[] = []
  const furthest = new Map<number, number>()
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      for (const [partition, offset] of await subject.committed()) {
        const before = furthest.get(partition) ?? -1
        if (offset < before) backwards.push(`partition ${partition}: ${offset} after ${before}`)
        furthest.set(partition, offset)
      }
      await sleep(lookEveryMs)
    }
  })()
  const stop = async () => {
    stopping.abort()
    await watching
    return backwards
  }
  onTestFinished(async () => {
    await stop()
  })
  return { stop }
}
