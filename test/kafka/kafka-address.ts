import { randomUUID } from 'node:crypto'
import { describe } from 'vitest'

/** The brokers of the run, `host:port` each; empty where Kafka cannot run and its tests are skipped. Set by `global-setup.ts`. */
export const kafkaBrokers: readonly string[] = (process.env['KAFKA_BROKERS'] ?? '').split(',').filter(address => address !== '')

/** `describe` for tests that need Kafka: skipped with the reason where it cannot run. */
export function describeWithKafka(name: string, tests: () => void): void {
  const missing = process.env['SIGNALBOX_KAFKA_MISSING']
  if (missing === undefined) describe(name, tests)
  else describe.skip(`${name} (skipped: ${missing})`, tests)
}

/** A topic or group name nobody else uses: the broker outlives the test. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${randomUUID().slice(0, 8)}`
}
