import { readFileSync } from 'node:fs'
import kafkajs from 'kafkajs'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { KafkaBroker } from '../../src/brokers/kafka/kafka-broker.ts'
import type { KafkaSasl, KafkaTls } from '../../src/config/router-config.ts'
import { prepareTopics } from '../../src/runtime/group-topics.ts'
import { subscription } from '../engine/plan-builders.ts'
import { describeWithKafka, uniqueName } from '../kafka/kafka-address.ts'
import { kafkaClient } from '../kafka/kafka-client.ts'
import { Receiver } from './receiver.ts'
import { type SecureKafka, startSecureKafka } from './secure-kafka.ts'

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs

type Listener = Parameters<SecureKafka['address']>[0]

describeWithKafka('Kafka with TLS, logins and ACLs', () => {
  let kafka: SecureKafka

  beforeAll(async () => {
    kafka = await startSecureKafka()
  })
  afterAll(() => kafka.stop())

  function open(listener: Listener, security: { readonly ssl?: KafkaTls; readonly sasl?: KafkaSasl } = {}): KafkaBroker {
    const consumer = { 'heartbeat.interval.ms': 200 }
    const broker = new KafkaBroker(
      'kafka',
      { type: 'kafka', brokers: [kafka.address(listener)], consumer, ...security },
      { clientId: 'test' },
    )
    onTestFinished(() => broker.close())
    return broker
  }

  const pem = (file: string): string => readFileSync(file, 'utf8')
  const trusting = (): KafkaTls => ({ ca: pem(kafka.certificates.ca), rejectUnauthorized: true })
  const mutual = (): KafkaTls => ({
    ...trusting(),
    cert: pem(kafka.certificates.clientCert),
    key: pem(kafka.certificates.clientKey),
  })
  const ada = (mechanism: KafkaSasl['mechanism'], password = 'ada-secret'): KafkaSasl => ({ mechanism, username: 'ada', password })
  const bob: KafkaSasl = { mechanism: 'PLAIN', username: 'bob', password: 'bob-secret' }

  async function roundTrip(broker: KafkaBroker): Promise<void> {
    const topic = uniqueName('secure')
    await broker.createTopics([{ topic, partitions: 1 }])
    const receiver = new Receiver()
    const options = { group: uniqueName('group'), topics: { names: [topic], patterns: [] }, from: { kind: 'earliest' } } as const
    await broker.consume({ ...options, maxWaitMs: undefined }, receiver)
    await broker.produce({ topic, key: null, value: Buffer.from('hello'), headers: {} })
    await receiver.has(1)
    expect(receiver.values).toEqual(['hello'])
  }

  test.each<[string, Listener, () => { ssl?: KafkaTls; sasl?: KafkaSasl }]>([
    ['TLS', 'TLS', () => ({ ssl: trusting() })],
    ['TLS by another name', 'TLS', () => ({ ssl: { ...trusting(), servername: 'localhost' } })],
    ['TLS without checking', 'TLS', () => ({ ssl: { rejectUnauthorized: false } })],
    ['a client certificate', 'MUTUAL', () => ({ ssl: mutual() })],
    ['PLAIN', 'SASL', () => ({ sasl: ada('PLAIN') })],
    ['SCRAM-SHA-256', 'SASL', () => ({ sasl: ada('SCRAM-SHA-256') })],
    ['SCRAM-SHA-512 under TLS', 'SASLTLS', () => ({ ssl: trusting(), sasl: ada('SCRAM-SHA-512') })],
  ])('a record goes to and fro with %s', async (_, listener, security) => {
    await roundTrip(open(listener, security()))
  })

  test.each<[string, Listener, () => { ssl?: KafkaTls; sasl?: KafkaSasl }, string, RegExp]>([
    ['an unknown authority', 'TLS', () => ({ ssl: { rejectUnauthorized: true } }), 'tls', /not signed by an authority .* `ssl.ca`/],
    [
      'another authority',
      'TLS',
      () => ({ ssl: { ...trusting(), ca: pem(kafka.certificates.otherCa) } }),
      'tls',
      /not signed by an authority/,
    ],
    [
      'a name it has not',
      'TLS',
      () => ({ ssl: { ...trusting(), servername: 'elsewhere' } }),
      'tls',
      /another name.*elsewhere.*ssl.servername/,
    ],
    ['no certificate where one is asked for', 'MUTUAL', () => ({ ssl: trusting() }), 'tls', /`ssl.cert` and `ssl.key`/],
    ['TLS to a port without', 'PLAIN', () => ({ ssl: trusting() }), 'tls', /the port may be one without TLS/],
    ['no TLS to a port with', 'TLS', () => ({}), 'unreachable', /may expect TLS \(`ssl`\)/],
    ['no login to a port that wants one', 'SASL', () => ({}), 'unreachable', /may expect .* a login \(`sasl`\)/],
    ['a login to a port without', 'PLAIN', () => ({ sasl: ada('PLAIN') }), 'authentication', /takes no login; remove `sasl`/],
    ['a wrong password (PLAIN)', 'SASL', () => ({ sasl: ada('PLAIN', 'wrong') }), 'authentication', /refused the credentials/],
    ['a wrong password (SCRAM)', 'SASL', () => ({ sasl: ada('SCRAM-SHA-256', 'wrong') }), 'authentication', /refused the credentials/],
  ])('%s is said in plain words', async (_, listener, security, code, message) => {
    await expect(open(listener, security()).connect()).rejects.toMatchObject({
      name: 'BrokerError',
      code,
      permanent: false,
      message: expect.stringMatching(message),
    })
  })

  test('a consumer with a wrong password says so and goes on trying', async () => {
    const receiver = new Receiver()
    const options = { group: 'g', topics: { names: ['t'], patterns: [] }, from: { kind: 'latest' }, maxWaitMs: undefined } as const
    await open('SASL', { sasl: ada('SCRAM-SHA-512', 'wrong') }).consume(options, receiver)
    await receiver.until('it says so', () => receiver.statuses.length > 0)
    expect(receiver.statuses[0]).toMatchObject({ kind: 'disconnected', error: { code: 'authentication' } })
  })

  test('what an ACL forbids is said with the topic or the group, and what it allows goes on', async () => {
    const allowed = uniqueName('allowed')
    const forbidden = uniqueName('forbidden')
    await open('PLAIN').createTopics([allowed, forbidden].map(topic => ({ topic, partitions: 1 })))
    await allow(AclResourceTypes.TOPIC, allowed)
    const broker = open('SASL', { sasl: bob })
    const write = (topic: string) => broker.produce({ topic, key: null, value: Buffer.from('x'), headers: {} })
    const outcomes = await Promise.allSettled([write(allowed), write(forbidden)])
    expect(outcomes).toMatchObject([
      { status: 'fulfilled' },
      { status: 'rejected', reason: { code: 'authorization', permanent: false, message: expect.stringContaining(`"${forbidden}"`) } },
    ])
    await write(allowed)

    const consume = async (topic: string, group: string): Promise<Receiver> => {
      const receiver = new Receiver()
      const from = { kind: 'earliest' } as const
      await broker.consume({ group, topics: { names: [topic], patterns: [] }, from, maxWaitMs: undefined }, receiver)
      await receiver.until('it says something', () => receiver.statuses.length > 0)
      return receiver
    }
    const refusedTopic = await consume(forbidden, 'any')
    expect(refusedTopic.statuses[0]).toMatchObject({
      kind: 'disconnected',
      error: { code: 'authorization', message: expect.stringContaining(`topic "${forbidden}"`) },
    })
    const group = uniqueName('group')
    const refusedGroup = await consume(allowed, group)
    expect(refusedGroup.statuses[0]).toMatchObject({
      kind: 'disconnected',
      error: { code: 'authorization', message: expect.stringMatching(new RegExp(`"${group}".*for the group`)) },
    })
    await allow(AclResourceTypes.GROUP, group)
    await refusedGroup.has(2)
  })

  test('retry topics that may not be made are named in the log, and the subscription goes on with what there is', async () => {
    const topic = uniqueName('retry')
    const lines: object[] = []
    const silent = () => {}
    const log = {
      debug: silent,
      info: silent,
      warn: silent,
      error: (fields: object, message: string) => void lines.push({ ...fields, message }),
    }
    const plan = subscription([], { retryTopics: [{ topic, longestMs: 500 }], replayTopic: undefined })
    expect(await prepareTopics(plan, open('SASL', { sasl: bob }), log)).toEqual({ ...plan.topics, optional: [topic] })
    expect(lines).toEqual([
      {
        subscription: 'shop',
        topics: [topic],
        error: expect.stringMatching(
          /^Kafka refused creating topics: the user has no permission for a topic \(an ACL: .*Create to make it\)$/,
        ),
        message: 'the retry topics could not be made: where one is missing, messages that fail wait until it is there',
      },
    ])
  })

  async function allow(resourceType: number, resourceName: string): Promise<void> {
    const admin = kafkaClient([kafka.address('PLAIN')]).admin()
    await admin.connect()
    await admin.createAcls({
      acl: [
        {
          resourceType,
          resourceName,
          resourcePatternType: ResourcePatternTypes.LITERAL,
          principal: 'User:bob',
          host: '*',
          operation: AclOperationTypes.ALL,
          permissionType: AclPermissionTypes.ALLOW,
        },
      ],
    })
    await admin.disconnect()
  }
})
