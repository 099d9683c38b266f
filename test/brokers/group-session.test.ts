import { KafkaJSConnectionError } from 'kafkajs'
import { expect, test } from 'vitest'
import type { TopicPartition, TopicPartitionOffset } from '../../src/brokers/broker.ts'
import { GroupMembership } from '../../src/brokers/kafka/group-membership.ts'
import { GroupSession } from '../../src/brokers/kafka/group-session.ts'
import { KafkaConnection } from '../../src/brokers/kafka/kafka-connection.ts'
import { openLink } from '../../src/brokers/kafka/kafka-link.ts'
import { consumerSettings } from '../../src/brokers/kafka/kafka-settings.ts'
import type { HeartbeatAnswer, Membership, MemberTerm } from '../../src/brokers/kafka/membership.ts'
import { createTopics } from '../kafka/create-topics.mjs'
import { describeWithKafka, kafkaBrokers, uniqueName } from '../kafka/kafka-address.ts'
import { kafkaClient } from '../kafka/kafka-client.ts'
import { FakeCluster } from './fake-cluster.ts'
import { Receiver } from './receiver.ts'

/** The first commit gets no answer, and by the time of the second the group has gone on. */
class MovingMembership implements Membership {
  readonly doing = 'moving'
  readonly leads = false
  readonly hasCompany = true
  term: MemberTerm = { memberId: 'me', generation: 4 }
  readonly commits: MemberTerm[] = []
  use(): void {}
  async join(): Promise<readonly TopicPartition[]> {
    return []
  }
  async heartbeat(): Promise<HeartbeatAnswer> {
    return 'ok'
  }
  async commit(_offsets: readonly TopicPartitionOffset[], term: MemberTerm): Promise<void> {
    this.commits.push(term)
    this.term = { memberId: 'me', generation: 5 }
    if (this.commits.length === 1) throw new KafkaJSConnectionError('broke off', { broker: 'one:9092', code: 'EPIPE' })
  }
  async commitFromOutside(): Promise<boolean> {
    return true
  }
  async committed(): Promise<readonly TopicPartitionOffset[]> {
    return []
  }
  async leave(): Promise<void> {}
  forget(): void {}
}

test('a commit that is tried again is still of the generation it was made for', async () => {
  const connection = new KafkaConnection(() => new FakeCluster({}).link(), false)
  const membership = new MovingMembership()
  const offset = { topic: 'orders', partition: 0, offset: 7 }
  const session = new GroupSession({
    connection,
    cluster: await connection.ready(),
    membership,
    settings: consumerSettings({}, undefined),
    sink: new Receiver(),
    positions: [offset],
    topics: { selector: { names: ['orders'], patterns: [] }, found: { topics: ['orders'], missing: [] }, refreshMs: 60_000 },
    onFailure: () => {},
    onSuccess: () => {},
  })
  await session.commit([offset])
  expect(membership.commits).toEqual([
    { memberId: 'me', generation: 4 },
    { memberId: 'me', generation: 4 },
  ])
})

describeWithKafka('a member of a group', () => {
  test('cannot take an offset back with a commit of a generation that is over', async () => {
    const topic = uniqueName('terms')
    const admin = kafkaClient().admin()
    await admin.connect()
    await createTopics(admin, [{ topic, numPartitions: 1 }])
    await admin.disconnect()
    const link = () => openLink({ brokers: kafkaBrokers, clientId: 'terms', log: undefined, ssl: undefined, sasl: undefined })
    const connection = new KafkaConnection(link, false)
    connection.useTopics([topic])
    const membership = new GroupMembership(uniqueName('group'), consumerSettings({}, undefined))
    membership.use(connection)
    const commit = (offset: number, term: MemberTerm) => membership.commit([{ topic, partition: 0, offset }], term)
    await membership.join([topic])
    const first = membership.term
    await commit(3, first)
    await membership.leave()
    await membership.join([topic])
    await commit(9, membership.term)
    await expect(commit(4, first)).rejects.toThrow()
    expect(await membership.committed([{ topic, partition: 0 }])).toEqual([{ topic, partition: 0, offset: 9 }])
    await membership.leave()
    connection.close()
  })
})
