import type { EngineLog } from '../engine/ports.ts'
import type { Generation } from './generations.ts'

/** Tears a generation's handlers down; what goes wrong is logged. */
export async function retireHandlers({ handlers }: Generation, log: Pick<EngineLog, 'error'>, withinMs?: number): Promise<void> {
  for (const error of await handlers.retire(withinMs)) log.error({ err: error }, 'a handler module could not be torn down')
}
