import kafkajs from 'kafkajs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTopics } from '../kafka/create-topics.mjs'
import { describeWithKafka } from '../kafka/kafka-address.ts'
import { type KafkaServer, startKafka } from '../kafka/kafka-server.ts'
import { readDeadLetters } from './dead-letters.ts'
import { patienceMs, testLimitMs } from './scale.ts'
import { step } from './sender.ts'
import { makeSubject, type Subject } from './subject.ts'

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ConfigResourceTypes, ResourcePatternTypes } = kafkajs

const messages = 200
/** The one that the handler refuses. */
const badNumber = 50

interface Trouble {
  readonly name: string
  /** Before the router starts. */
  readonly prepare: (subject: Subject, topic: string) => Promise<unknown>
  readonly heal: (subject: Subject, topic: string) => Promise<unknown>
}

const create = ({ admin }: Subject, topic: string, configEntries: { name: string; value: string }[] = []) =>
  createTopics(admin, [{ topic, numPartitions: 1, configEntries }])

const configure = ({ admin }: Subject, topic: string, name: string, value: string) =>
  admin.alterConfigs({
    validateOnly: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name, value }] }],
  })

const denied = (topic: string) => ({
  resourceType: AclResourceTypes.TOPIC,
  resourceName: topic,
  resourcePatternType: ResourcePatternTypes.LITERAL,
  principal: 'User:ANONYMOUS',
  host: '*',
  operation: AclOperationTypes.WRITE,
  permissionType: AclPermissionTypes.DENY,
})

const troubles: readonly Trouble[] = [
  { name: 'missing', prepare: async () => {}, heal: (subject, topic) => create(subject, topic) },
  {
    name: 'too small for the record',
    prepare: (subject, topic) => create(subject, topic, [{ name: 'max.message.bytes', value: '1000' }]),
    heal: (subject, topic) => configure(subject, topic, 'max.message.bytes', '1048588'),
  },
  {
    name: 'forbidden by an ACL',
    prepare: async (subject, topic) => {
      await create(subject, topic)
      await subject.admin.createAcls({ acl: [denied(topic)] })
    },
    heal: ({ admin }, topic) => admin.deleteAcls({ filters: [denied(topic)] }),
  },
]

describeWithKafka('a dead-letter topic that takes nothing', () => {
  let server: KafkaServer

  beforeAll(async () => {
    server = await startKafka({
      properties: {
        'auto.create.topics.enable': false,
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'allow.everyone.if.no.acl.found': true,
      },
    })
  })
  afterAll(() => server.stop())

  test.each(troubles)(
    '$name: the offset never passes the record, an alarm says so, and healed it is there exactly once',
    {
      timeout: testLimitMs,
    },
    async ({ name, prepare, heal }) => {
      const subject = await makeSubject({
        address: server.address,
        partitions: 1,
        work: "  if (event.data.refuse === true) { const error = new Error('refused'); error.name = 'PermanentError'; throw error }",
      })
      const deadLetterTopic = `${subject.topic}.dlq`
      await prepare(subject, deadLetterTopic)
      const sender = subject.sender({
        keys: 20,
        content: (n, place) => step(place, n === badNumber ? 'failed' : 'done', { refuse: n === badNumber, text: 'x'.repeat(2_000) }),
      })
      const running = await subject.start()
      await sender.send(messages)
      const bad = sender.acknowledged[badNumber]
      const blocked = sender.acknowledged.filter(({ key, sequence }) => key === bad?.key && sequence >= (bad?.sequence ?? 0))
      const free = sender.acknowledged.filter(message => !blocked.includes(message))
      await subject.untilHandled(free)
      await running.router.line('the dead letter could not be written')
      await expect.poll(running.metrics).toMatch(/signalbox_dead_letter_write_failures_total\{[^}]*\} [1-9]/)
      await expect.poll(async () => (await subject.committed()).get(0), { timeout: 10_000 }).toBe(badNumber)
      expect([...subject.log.handled].filter(id => blocked.some(message => message.id === id))).toEqual([])

      await heal(subject, deadLetterTopic)
      await expect.poll(async () => (await subject.committed()).get(0), { timeout: patienceMs }).toBe(messages)
      expect(await running.router.terminate()).toBe(0)
      const letters = await readDeadLetters(subject)
      expect(letters.map(({ origin }) => origin)).toEqual([`0/${badNumber}`])
      const result = await subject.account(`dead-letter topic ${name}`, sender)
      expect(result).toMatchObject({ acknowledged: messages, duplicates: [], reordered: [], repeated: [], deadLettered: 1 })
    },
  )
})
