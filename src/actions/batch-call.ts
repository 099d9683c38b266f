import type { BatchMember, BatchOutcome } from '../compiler/plan.ts'
import { type BatchHandler, type BatchItem, type HandlerContext, type HandlerEvent, type HandlerLog, PermanentError } from './handler.ts'

export interface BatchCall {
  /** For people: the module, and the export where it is not the default. */
  readonly name: string
  readonly handler: BatchHandler | undefined
  readonly log: HandlerLog
  readonly signal: AbortSignal
  readonly members: readonly BatchMember[]
  /** Throws TemplateError where the parameters cannot be rendered for this message, which is then not in the call. */
  itemOf(member: BatchMember): { readonly event: HandlerEvent; readonly context: HandlerContext }
  /** What the engine makes of a result. */
  outcome(result: unknown): unknown
}

/** Calls a handler with many messages at once. An outcome for each: what the handler reported of it, else what the call came to. */
export async function callBatch(call: BatchCall): Promise<readonly BatchOutcome[]> {
  const failures = new Map<BatchMember, unknown>()
  const called: BatchMember[] = []
  const items: BatchItem[] = []
  for (const member of call.members) {
    try {
      const item = call.itemOf(member)
      items.push({ ...item, fail: error => void failures.set(member, error ?? new Error('the handler said that this message failed')) })
      called.push(member)
    } catch (error) {
      failures.set(member, error)
    }
  }
  const results = items.length === 0 ? [] : await resultsOf(call, items, called, failures)
  const values = new Map(called.map((member, index) => [member, results[index]]))
  return call.members.map(member => (failures.has(member) ? { error: failures.get(member) } : { value: call.outcome(values.get(member)) }))
}

/** What throws fails those that have no failure of their own yet. */
async function resultsOf(
  { name, handler, log, signal }: BatchCall,
  items: readonly BatchItem[],
  called: readonly BatchMember[],
  failures: Map<BatchMember, unknown>,
): Promise<readonly unknown[]> {
  try {
    if (handler === undefined) throw new PermanentError(`the handler ${name} could not be loaded or exports no function`)
    const result = await handler(items, { log, signal })
    if (!Array.isArray(result)) return []
    if (result.length === items.length) return result
    throw new PermanentError(`the handler ${name} returned ${result.length} results for ${items.length} messages`)
  } catch (error) {
    for (const member of called) if (!failures.has(member)) failures.set(member, error)
    return []
  }
}
