// A real Apache Kafka for tests and benchmarks, started from its Maven artifacts. Plain JavaScript, so that a script can start it under
// Node 20; tests import the typed `kafka-server.ts`. On the command line: `node test/kafka/kafka-server.mjs [port]` runs until SIGTERM.
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { access, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import kafkajs from 'kafkajs'

const run = promisify(execFile)

const KAFKA_VERSION = '4.3.1'
const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 10_000

/** The folder of downloaded jars: `SIGNALBOX_KAFKA_CACHE`, else `.cache/kafka` in the checkout. */
const CACHE = process.env.SIGNALBOX_KAFKA_CACHE ?? fileURLToPath(new URL('../../.cache/kafka', import.meta.url))

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>signalbox.test</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${KAFKA_VERSION}</version></dependency>
  </dependencies>
</project>
`

/** What keeps Kafka from starting here, in one sentence, or undefined. */
export async function missingForKafka() {
  if (!(await works('java', '-version')))
    return 'Java 17 or newer is needed to run Kafka: install it (Debian: apt-get install default-jre-headless)'
  if (await exists(join(CACHE, `libs-${KAFKA_VERSION}`))) return undefined
  if (!(await works('mvn', '-v'))) return 'Maven is needed to download Kafka: install it (Debian: apt-get install maven)'
  return undefined
}

/**
 * Starts a broker with data of its own and resolves when it answers.
 * `port` 0 (the default) takes a free one; `properties` are added to server.properties. `listeners` adds listeners on free ports: security protocols by
 * name. `scram` are users made while the storage is formatted, as `kafka-storage format --add-scram` takes them.
 */
export async function startKafka({ port = 0, properties = {}, listeners = {}, scram = [] } = {}) {
  const missing = await missingForKafka()
  if (missing !== undefined) throw new Error(missing)
  const libs = await jars()
  const folder = await mkdtemp(join(tmpdir(), 'signalbox-kafka-'))
  const [freePort, controllerPort, ...morePorts] = await freePorts(2 + Object.keys(listeners).length)
  const address = `127.0.0.1:${port === 0 ? freePort : port}`
  const addresses = Object.fromEntries(Object.keys(listeners).map((name, index) => [name, `127.0.0.1:${morePorts[index]}`]))
  const settings = join(folder, 'server.properties')
  await writeFile(
    settings,
    serverProperties(controllerPort, join(folder, 'data'), { ...listening(listeners, addresses, address, controllerPort), ...properties }),
  )
  const classPath = ['-cp', join(libs, '*')]
  await run('java', [
    '-Xmx128m',
    ...classPath,
    'kafka.tools.StorageTool',
    'format',
    '-t',
    clusterId(),
    '-c',
    settings,
    ...scram.flatMap(user => ['--add-scram', user]),
  ])

  let child
  const start = async () => {
    child = spawnBroker([`-Xmx${process.env.KAFKA_HEAP ?? '1g'}`, ...classPath, 'kafka.Kafka', settings], join(folder, 'server.log'))
    try {
      await untilAnswers(address, child)
    } catch (error) {
      await end(child, 'SIGKILL')
      throw new Error(`Kafka did not start: ${error.message}\n${await tail(join(folder, 'server.log'))}`, { cause: error })
    }
  }
  await start()
  return {
    /** `host:port`. */
    address,
    /** Of the additional listeners, by name. */
    addresses,
    /** Java's class path of Kafka's own tools. */
    classPath: join(libs, '*'),
    /** Ends the broker in order and removes its data. */
    async stop() {
      await end(child, 'SIGTERM')
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    },
    /** Ends the broker as a power cut would; its data stay. */
    kill: () => end(child, 'SIGKILL'),
    /** Starts a killed broker again on the same ports and data (a running one is stopped in order first). */
    async restart() {
      await end(child, 'SIGTERM')
      await start()
    },
  }
}

async function jars() {
  const libs = join(CACHE, `libs-${KAFKA_VERSION}`)
  if (await exists(libs)) return libs
  await mkdir(CACHE, { recursive: true })
  // Downloaded aside and renamed, so that an interrupted download or a second process never leaves half a class path.
  const scratch = await mkdtemp(join(CACHE, 'download-'))
  try {
    await writeFile(join(scratch, 'pom.xml'), POM)
    await run('mvn', ['-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=libs'], { cwd: scratch, maxBuffer: 1 << 24 })
    await rename(join(scratch, 'libs'), libs).catch(async error => {
      if (!(await exists(libs))) throw error
    })
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
  return libs
}

function listening(protocols, addresses, address, controllerPort) {
  const open = Object.entries({ PLAINTEXT: address, ...addresses }).map(([name, at]) => `${name}://${at}`)
  const kinds = Object.entries({ PLAINTEXT: 'PLAINTEXT', CONTROLLER: 'PLAINTEXT', ...protocols })
  return {
    listeners: [...open, `CONTROLLER://127.0.0.1:${controllerPort}`].join(','),
    'advertised.listeners': open.join(','),
    'listener.security.protocol.map': kinds.map(([name, protocol]) => `${name}:${protocol}`).join(','),
  }
}

function serverProperties(controllerPort, dataFolder, extra) {
  const settings = {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': dataFolder,
    'auto.create.topics.enable': true,
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 1,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'transaction.state.log.num.partitions': 1,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 1000,
    'log.cleaner.backoff.ms': 200,
    // A killed broker may register again only when its last session has timed out.
    'broker.session.timeout.ms': 1500,
    'broker.heartbeat.interval.ms': 300,
    ...extra,
  }
  return Object.entries(settings)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('')
}

function spawnBroker(args, logFile) {
  const log = createWriteStream(logFile, { flags: 'a' })
  const child = spawn('java', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.pipe(log, { end: false })
  child.stderr.pipe(log, { end: false })
  const killWithParent = () => child.kill('SIGKILL')
  process.once('exit', killWithParent)
  child.once('close', () => {
    process.removeListener('exit', killWithParent)
    log.end()
  })
  return child
}

/** Answers means: knows its controller and coordinates groups (which makes the offsets topic on a first start). */
async function untilAnswers(address, child) {
  const kafka = new kafkajs.Kafka({
    brokers: [address],
    logLevel: kafkajs.logLevel.NOTHING,
    connectionTimeout: 2_000,
    retry: { retries: 0 },
  })
  const deadline = Date.now() + START_TIMEOUT_MS
  for (;;) {
    const admin = kafka.admin()
    try {
      await admin.connect()
      const { controller } = await admin.describeCluster()
      if (controller === null) throw new Error('it has no controller yet')
      await admin.describeGroups(['signalbox-ready'])
      return
    } catch (error) {
      if (child.exitCode !== null) throw new Error(`it exited with code ${child.exitCode}`, { cause: error })
      if (Date.now() > deadline) throw error
      await delay(100)
    } finally {
      await admin.disconnect().catch(() => {})
    }
  }
}

async function end(child, signal) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill(signal)
  const giveUp = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
  await ended
  clearTimeout(giveUp)
}

async function freePorts(count) {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    }),
  )
  const ports = servers.map(server => server.address().port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

function clusterId() {
  return randomBytes(16).toString('base64url').replaceAll('-', 'A')
}

async function tail(file) {
  const text = await readFile(file, 'utf8').catch(() => '')
  return text.split('\n').slice(-20).join('\n')
}

async function works(command, ...args) {
  return run(command, args).then(
    () => true,
    () => false,
  )
}

async function exists(path) {
  return access(path).then(
    () => true,
    () => false,
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const kafka = await startKafka({ port: Number(process.argv[2] ?? 0) })
  console.log(kafka.address)
  const keepAlive = setInterval(() => {}, 1 << 30)
  for (const signal of ['SIGTERM', 'SIGINT'])
    process.once(signal, async () => {
      await kafka.stop()
      clearInterval(keepAlive)
    })
}
