import { describe } from 'vitest'
import { backplaneContract } from './backplane-contract.ts'
import { startServer } from './harness.ts'

describe('the local backplane', () => {
  backplaneContract(async setup => {
    const server = await startServer({ ...setup, timings: { webhookBatchMs: 5, webhookDebounceMs: 300, ...setup?.timings } })
    return [server, server, server]
  })
})
