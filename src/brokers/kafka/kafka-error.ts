import type { KafkaBrokerConfig } from '../../config/router-config.ts'
import { BrokerError, type BrokerErrorCode } from '../broker.ts'
import { tlsFault } from './tls-fault.ts'

/** What kafkajs puts on its errors; its classes are not told apart by type, but by `name` and by the protocol's `type`. */
interface KafkaErrorFields {
  readonly name: string
  /** The protocol's name of the error: `UNKNOWN_MEMBER_ID`. */
  readonly type: string | undefined
  readonly message: string
  /** Of a socket: `ECONNREFUSED`. */
  readonly code: string | undefined
  /** `host:port`, where the error comes from a connection. */
  readonly broker: string | undefined
  readonly retriable: boolean
}

const UNREACHABLE: ReadonlySet<string> = new Set([
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
  'KafkaJSRequestTimeoutError',
  'KafkaJSBrokerNotFound',
  'KafkaJSNoBrokerAvailableError',
  'KafkaJSGroupCoordinatorNotFound',
  'KafkaJSLockTimeout',
  'KafkaJSMetadataNotLoaded',
  'KafkaJSTopicMetadataNotLoaded',
])

const BY_TYPE: Readonly<Record<string, BrokerErrorCode>> = {
  UNKNOWN_TOPIC_OR_PARTITION: 'unknown-topic',
  INVALID_TOPIC_EXCEPTION: 'invalid-topic',
  MESSAGE_TOO_LARGE: 'record-too-large',
  RECORD_LIST_TOO_LARGE: 'record-too-large',
  OFFSET_METADATA_TOO_LARGE: 'metadata-too-large',
  INVALID_RECORD: 'invalid-record',
  INVALID_TIMESTAMP: 'invalid-record',
  SASL_AUTHENTICATION_FAILED: 'authentication',
  TOPIC_AUTHORIZATION_FAILED: 'authorization',
  GROUP_AUTHORIZATION_FAILED: 'authorization',
  CLUSTER_AUTHORIZATION_FAILED: 'authorization',
  ILLEGAL_SASL_STATE: 'authentication',
  UNSUPPORTED_SASL_MECHANISM: 'authentication',
}

/** Where the protocol's own words do not say what to do. */
const PLAIN: Readonly<Record<string, string>> = {
  INCONSISTENT_GROUP_PROTOCOL: 'the group has members that are no Signalbox; stop them, or give this file a group of its own',
  TOPIC_AUTHORIZATION_FAILED: 'the user has no permission for a topic (an ACL: Read to consume, Write to produce, Create to make it)',
  GROUP_AUTHORIZATION_FAILED: 'the user has no permission for the group (an ACL: Read)',
  CLUSTER_AUTHORIZATION_FAILED: 'the user has no permission for the cluster (an ACL)',
  ILLEGAL_SASL_STATE: 'this port takes no login; remove `sasl`, or use the port that does',
}

/** What messages say of the broker: its addresses, and whether `ssl` and `sasl` are set. */
export type KafkaPlace = Pick<KafkaBrokerConfig, 'brokers' | 'ssl' | 'sasl'>

/** `doing` completes the sentence: "cannot reach Kafka at host:port while <doing>". */
export function toBrokerError(error: unknown, doing: string, place: KafkaPlace): BrokerError {
  const known = causes(error).find(cause => cause instanceof BrokerError)
  if (known !== undefined) return known
  const root = rootOf(error)
  const address = root.broker ?? place.brokers.join(', ')
  const tls = place.ssl === undefined ? undefined : tlsFault(root, address)
  if (tls !== undefined) return new BrokerError('tls', `${tls.message} (while ${doing})`, { retriable: tls.retriable, cause: error })
  if (UNREACHABLE.has(root.name)) {
    const reason = root.name === 'KafkaJSConnectionClosedError' ? closedReason(place) : (root.code ?? root.message)
    return new BrokerError('unreachable', `cannot reach Kafka at ${address} while ${doing}: ${reason}`, { retriable: true, cause: error })
  }
  if (root.name === 'KafkaJSSASLAuthenticationError')
    return new BrokerError('authentication', `Kafka refused the credentials while ${doing}: ${root.message}`, {
      retriable: false,
      cause: error,
    })
  const code = own(BY_TYPE, root.type)
  return new BrokerError(code ?? 'failed', `Kafka refused ${doing}: ${own(PLAIN, root.type) ?? root.message}`, {
    retriable: code === undefined && root.retriable,
    cause: error,
  })
}

/** A broker that ends says nothing, and neither does a port that expects TLS or a login. */
function closedReason({ ssl, sasl }: KafkaPlace): string {
  const missing = [ssl === undefined && 'TLS (`ssl`)', sasl === undefined && 'a login (`sasl`)'].filter(name => name !== false)
  return missing.length === 0
    ? 'it closed the connection'
    : `it closed the connection; if this lasts, the port may expect ${missing.join(' or ')}`
}

/** The protocol's name of what went wrong (`UNKNOWN_MEMBER_ID`), or undefined. */
export function protocolType(error: unknown): string | undefined {
  return rootOf(error).type
}

/** No answer, as opposed to a refusal. */
export function isUnreachable(error: unknown): boolean {
  return UNREACHABLE.has(rootOf(error).name)
}

/** An open connection broke off, or nobody answers on it; not: none could be opened. */
export function isBroken(error: unknown): boolean {
  const { name, code } = rootOf(error)
  if (name === 'KafkaJSConnectionClosedError' || name === 'KafkaJSRequestTimeoutError') return true
  return name === 'KafkaJSConnectionError' && code !== undefined && code !== 'ECONNREFUSED'
}

function own<T>(table: Readonly<Record<string, T>>, key: string | undefined): T | undefined {
  return key !== undefined && Object.hasOwn(table, key) ? table[key] : undefined
}

function causes(error: unknown): readonly unknown[] {
  const chain = [error]
  for (
    let current = error;
    current instanceof Error && current.cause !== undefined && !chain.includes(current.cause);
    current = current.cause
  )
    chain.push(current.cause)
  return chain
}

/** kafkajs wraps the error that counts in one or two that say how often it was tried, or in one for all topics of a request. */
function rootOf(error: unknown): KafkaErrorFields {
  const last = causes(error).at(-1)
  const ofTopics: unknown = typeof last === 'object' && last !== null ? Reflect.get(last, 'errors') : undefined
  const current: unknown = Array.isArray(ofTopics) && ofTopics.length > 0 ? ofTopics[0] : last
  const text = (key: string): string | undefined => {
    const value: unknown = typeof current === 'object' && current !== null ? Reflect.get(current, key) : undefined
    return typeof value === 'string' ? value : undefined
  }
  return {
    name: text('name') ?? 'Error',
    type: text('type'),
    message: text('message') ?? String(current),
    code: text('code'),
    broker: text('broker'),
    retriable: typeof current === 'object' && current !== null && Reflect.get(current, 'retriable') === true,
  }
}
