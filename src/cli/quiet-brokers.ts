import { loadProject } from '../config/load-project.ts'
import type { RouterConfig } from '../config/router-config.ts'
import { hasErrors } from '../diagnostics/problem.ts'
import { createLogger } from '../observe/logger.ts'
import { BrokerSet } from '../runtime/broker-set.ts'
import { StartError } from '../runtime/start-error.ts'

export interface QuietBrokers {
  readonly router: RouterConfig
  /** Their clients log nothing: the one error that ends a command says all there is to say, and a log would bury it. */
  readonly brokers: BrokerSet
}

/** The brokers of router.yaml for one command. Rejects with StartError where the file has problems. */
export async function openQuietBrokers(root: string): Promise<QuietBrokers> {
  const { router, problems, sources, secrets } = await loadProject({ root, env: process.env, mode: 'dev', paths: [] })
  const ownProblems = problems.filter(({ file }) => file === 'router.yaml')
  if (hasErrors(ownProblems)) throw new StartError('problems', 'router.yaml has problems', { problems: ownProblems, sources })
  const log = createLogger({ level: 'silent', pretty: false, redact: secrets })
  return { router, brokers: new BrokerSet({ clientId: router.name, log, embedded: false }) }
}
