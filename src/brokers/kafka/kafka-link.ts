import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type Cluster, Kafka, type LogEntry, logLevel, type SASLOptions } from 'kafkajs'
import type { KafkaSasl, KafkaTls } from '../../config/router-config.ts'
import type { BrokerLog } from '../registry.ts'
import { registerCodecs } from './codecs.ts'

export interface KafkaLinkOptions {
  /** `host:port`. */
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly log: BrokerLog | undefined
  readonly ssl: KafkaTls | undefined
  readonly sasl: KafkaSasl | undefined
}

/** kafkajs with sockets of its own, so that they can be closed at once: kafkajs itself waits for every answer first. */
export interface KafkaLink {
  readonly kafka: Kafka
  /** Closes the sockets for good; what waits for an answer fails. */
  close(): void
}

/** What one connection attempt may take, in ms. */
const CONNECT_TIMEOUT_MS = 3_000

const KEEP_ALIVE_MS = 30_000

/**
 * kafkajs's own retries are few and short: whoever uses the link has a loop with a back-off and status events around it.
 * All values are set, as kafkajs has others under NODE_ENV=test.
 */
const RETRY = { retries: 3, initialRetryTime: 100, maxRetryTime: 1_000, factor: 0.2, multiplier: 2 }

const LEVELS = { [logLevel.ERROR]: 'error', [logLevel.WARN]: 'warn', [logLevel.INFO]: 'info', [logLevel.DEBUG]: 'debug' } as const

export function openLink(options: KafkaLinkOptions): KafkaLink {
  registerCodecs()
  const sockets = new Set<Socket>()
  let closed = false
  const kafka = new Kafka({
    brokers: [...options.brokers],
    clientId: options.clientId,
    connectionTimeout: CONNECT_TIMEOUT_MS,
    retry: RETRY,
    // The sockets are made here: kafkajs only needs to know.
    ssl: options.ssl !== undefined,
    ...(options.sasl === undefined ? {} : { sasl: saslOptions(options.sasl) }),
    logLevel: options.log === undefined ? logLevel.NOTHING : logLevel.INFO,
    logCreator: () => entry => forward(options.log, entry),
    socketFactory: ({ host, port, onConnect }) => {
      if (closed) throw new Error('the connection was closed on purpose')
      const socket = openSocket(host, port, options.ssl, onConnect)
      // Without it a request waits for the acknowledgement of the one before (Nagle's algorithm).
      socket.setNoDelay(true)
      socket.setKeepAlive(true, KEEP_ALIVE_MS)
      sockets.add(socket)
      socket.once('close', () => {
        sockets.delete(socket)
        // kafkajs calls it on a dead socket with every further attempt, and each call would leave a listener behind.
        socket.unref = () => socket
      })
      return socket
    },
  })
  return {
    kafka,
    close() {
      closed = true
      // kafkajs fails the requests of a socket on `error`, not on `close`.
      for (const socket of sockets) socket.destroy(new Error('the connection was closed on purpose'))
    },
  }
}

/** `onConnect` is called when data can be sent: with TLS, once the certificates have been checked. */
function openSocket(host: string, port: number, ssl: KafkaTls | undefined, onConnect: () => void): Socket {
  if (ssl === undefined) return connect({ host, port }, onConnect)
  // An address cannot be asked for by name (RFC 6066, section 3).
  return connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...ssl }, onConnect)
}

/** kafkajs writes its authenticator into the object it is given: each link gets one of its own. */
function saslOptions({ mechanism, username, password }: KafkaSasl): SASLOptions {
  const credentials = { username, password }
  switch (mechanism) {
    case 'PLAIN':
      return { mechanism: 'plain', ...credentials }
    case 'SCRAM-SHA-256':
      return { mechanism: 'scram-sha-256', ...credentials }
    case 'SCRAM-SHA-512':
      return { mechanism: 'scram-sha-512', ...credentials }
  }
}

/**
 * The cluster client below kafkajs's consumer and producer. `createsTopics`: asks brokers that do so to create the topics they do not know. kafkajs hands it to partition assigners, and its types make it public; going through an
 * assigner is the only way to it without a deep import.
 */
export function clusterOf(link: KafkaLink, options: { readonly readUncommitted: boolean; readonly createsTopics: boolean }): Cluster {
  const found: Cluster[] = []
  link.kafka.consumer({
    groupId: 'signalbox',
    allowAutoTopicCreation: options.createsTopics,
    readUncommitted: options.readUncommitted,
    partitionAssigners: [
      ({ cluster }) => {
        found.push(cluster)
        return { name: 'none', version: 0, assign: async () => [], protocol: () => ({ name: 'none', metadata: Buffer.alloc(0) }) }
      },
    ],
  })
  const [cluster] = found
  if (cluster === undefined) throw new Error('kafkajs did not hand out its cluster: it is not the version this was written for')
  return cluster
}

function forward(log: BrokerLog | undefined, { namespace, level, log: entry }: LogEntry): void {
  if (log === undefined || level === logLevel.NOTHING) return
  const { message, timestamp: _, logger: __, ...extra } = entry
  log(LEVELS[level], message, { ...extra, namespace })
}
