import type { Logger } from '../observe/logger.ts'
import type { ReloadResult, RunningRouter } from '../runtime/router-options.ts'

export function logStart(router: RunningRouter, log: Logger): void {
  log.info(router.address, 'listening')
  void router.ready.then(() => log.info('ready: every subscription has joined its group'))
}

export function logReload(result: ReloadResult, log: Logger): void {
  if (result.kind === 'applied') log.info({ generation: result.generation, changes: result.summary }, 'the edited configuration is at work')
  if (result.kind === 'rejected') log.error('the edited configuration has problems: the one before it goes on')
  if (result.kind === 'unchanged') return
  for (const { severity, code, message, file, range, hint } of result.problems) {
    const place = range === undefined ? file : `${file}:${range.start.line}:${range.start.column}`
    log[severity === 'error' ? 'error' : 'warn']({ code, place, ...(hint === undefined ? {} : { hint }) }, message)
  }
}
