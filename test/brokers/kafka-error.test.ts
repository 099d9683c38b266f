import { KafkaJSConnectionError, KafkaJSNumberOfRetriesExceeded, KafkaJSProtocolError } from 'kafkajs'
import { describe, expect, test } from 'vitest'
import { BrokerError } from '../../src/brokers/broker.ts'
import { type KafkaPlace, protocolType, toBrokerError } from '../../src/brokers/kafka/kafka-error.ts'

const PLACE = { brokers: ['one:9092', 'two:9092'] }

function refused(type: string, retriable = false): KafkaJSProtocolError {
  return new KafkaJSProtocolError(Object.assign(new Error(`it said ${type}`), { type, code: 1, retriable }))
}

describe('an error of Kafka', () => {
  test('is told by what lies under the retries, with the address', () => {
    const inner = new KafkaJSConnectionError('Connection error: connect ECONNREFUSED', { broker: 'two:9092', code: 'ECONNREFUSED' })
    const error = new KafkaJSNumberOfRetriesExceeded(inner, { retryCount: 3, retryTime: 100 })
    expect(toBrokerError(error, 'connecting', PLACE)).toMatchObject({
      code: 'unreachable',
      retriable: true,
      message: 'cannot reach Kafka at two:9092 while connecting: ECONNREFUSED',
      cause: error,
    })
  })

  test.each([
    ['UNKNOWN_TOPIC_OR_PARTITION', 'unknown-topic', 'is waited for'],
    ['TOPIC_AUTHORIZATION_FAILED', 'authorization', 'is waited for'],
    ['SASL_AUTHENTICATION_FAILED', 'authentication', 'is waited for'],
    ['INVALID_TOPIC_EXCEPTION', 'invalid-topic', 'is for good'],
    ['MESSAGE_TOO_LARGE', 'record-too-large', 'is for good'],
    ['RECORD_LIST_TOO_LARGE', 'record-too-large', 'is for good'],
    ['INVALID_RECORD', 'invalid-record', 'is for good'],
    ['INVALID_TIMESTAMP', 'invalid-record', 'is for good'],
    ['UNKNOWN', 'failed', 'is waited for'],
    ['KAFKA_STORAGE_ERROR', 'failed', 'is waited for'],
    ['SOMETHING_ELSE', 'failed', 'is waited for'],
  ])('%s is %s and %s', (type, code, lasting) => {
    const error = toBrokerError(refused(type), 'writing to topic "t"', PLACE)
    expect(error).toMatchObject({ code, retriable: false, permanent: lasting === 'is for good' })
    expect(error.message).toMatch(/^Kafka refused writing to topic "t": ./)
  })

  test.each(['the broker said nothing of orders/0', 'kafkajs lacks produce requests: it is not the version this was written for'])(
    'that nobody knows is waited for: %s',
    message => {
      expect(toBrokerError(new Error(message), 'x', PLACE)).toMatchObject({ code: 'failed', permanent: false })
    },
  )

  test('that Kafka calls temporary can be tried again', () => {
    expect(toBrokerError(refused('NOT_ENOUGH_REPLICAS', true), 'x', PLACE)).toMatchObject({ code: 'failed', retriable: true })
  })

  test('about another kind of member says what to do', () => {
    expect(toBrokerError(refused('INCONSISTENT_GROUP_PROTOCOL'), 'consuming as group "g"', PLACE).message).toMatch(/group of its own/)
  })

  test('that says nothing but goodbye has the settings that may be missing', () => {
    const goodbye = Object.assign(new Error('Closed connection'), { name: 'KafkaJSConnectionClosedError' })
    const message = (place: Partial<KafkaPlace>) => toBrokerError(goodbye, 'connecting', { ...PLACE, ...place }).message
    const ssl = { rejectUnauthorized: true }
    const sasl = { mechanism: 'PLAIN', username: 'ada', password: 'x' } as const
    expect(message({})).toMatch(/expect TLS \(`ssl`\) or a login \(`sasl`\)$/)
    expect(message({ ssl })).toMatch(/expect a login \(`sasl`\)$/)
    expect(message({ ssl, sasl })).toMatch(/: it closed the connection$/)
  })

  test('about credentials is not tried again', () => {
    const error = Object.assign(new Error('no'), { name: 'KafkaJSSASLAuthenticationError' })
    expect(toBrokerError(error, 'connecting', PLACE)).toMatchObject({ code: 'authentication', retriable: false })
  })

  test('of our own passes through, wrapped or not', () => {
    const own = new BrokerError('closed', 'x', { retriable: false })
    expect(toBrokerError(own, 'y', PLACE)).toBe(own)
    expect(toBrokerError(new Error('wrapped', { cause: own }), 'y', PLACE)).toBe(own)
  })

  test('need not be an error, nor end its chain of causes', () => {
    expect(toBrokerError('text', 'x', PLACE)).toMatchObject({ code: 'failed', message: 'Kafka refused x: text' })
    const loop = new Error('loop')
    loop.cause = loop
    expect(toBrokerError(loop, 'x', PLACE).message).toBe('Kafka refused x: loop')
    expect(protocolType(undefined)).toBeUndefined()
  })
})
