import type { RecordSink, TopicPartition } from './broker.ts'

/** Lets the receiver drain `partitions`; resolves when it has, failed to, or `timeoutMs` are over. Never rejects. */
export async function revoke(sink: RecordSink, partitions: readonly TopicPartition[], lost: boolean, timeoutMs: number): Promise<void> {
  if (partitions.length === 0) return
  let timer: NodeJS.Timeout | undefined
  const expired = new Promise<'expired'>(resolve => {
    timer = setTimeout(() => resolve('expired'), timeoutMs)
  })
  try {
    const outcome = await Promise.race([sink.revoked(partitions, lost), expired])
    if (outcome === 'expired')
      sink.status({
        kind: 'warning',
        message: `work on ${partitions.length} partitions was still running ${timeoutMs} ms after they were revoked`,
      })
  } catch (error) {
    sink.status({
      kind: 'warning',
      message: `draining revoked partitions failed: ${error instanceof Error ? error.message : String(error)}`,
    })
  } finally {
    clearTimeout(timer)
  }
}
