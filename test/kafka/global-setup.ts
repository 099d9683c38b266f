import { readFile } from 'node:fs/promises'
import type { TestProject } from 'vitest/node'
import { missingForKafka, startKafka } from './kafka-server.ts'

/**
 * Gives the run one Kafka: the cluster named by `KAFKA_BROKERS`, else one of its own, started only if a selected test file asks for it.
 * Where Java or Maven is missing, Kafka's tests are skipped with the reason; in CI the run fails instead.
 */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (process.env['KAFKA_BROKERS'] !== undefined && process.env['KAFKA_BROKERS'] !== '') return undefined
  if (!(await isNeeded(project))) return undefined
  const missing = await missingForKafka()
  if (missing !== undefined) {
    if (process.env['CI'] !== undefined) throw new Error(`${missing}, or set KAFKA_BROKERS to a running cluster`)
    console.warn(`Kafka's tests are skipped. ${missing}, or set KAFKA_BROKERS to a running cluster.`)
    process.env['SIGNALBOX_KAFKA_MISSING'] = missing
    return undefined
  }
  const kafka = await startKafka()
  // Workers inherit the environment of this process.
  process.env['KAFKA_BROKERS'] = kafka.address
  return () => kafka.stop()
}

async function isNeeded(project: TestProject): Promise<boolean> {
  const filters = process.argv.slice(2).filter(argument => !argument.startsWith('-') && argument !== 'run')
  const { testFiles } = await project.globTestFiles(filters)
  if (testFiles.length === 0) return true
  const texts = await Promise.all(testFiles.map(file => readFile(file, 'utf8')))
  return texts.some(text => text.includes('/kafka/kafka-address.ts'))
}
