import { KafkaBroker } from '../../src/brokers/kafka/kafka-broker.ts'
import { describeWithKafka, kafkaBrokers } from '../kafka/kafka-address.ts'
import { brokerContract } from './broker-contract.ts'

describeWithKafka('the Kafka broker', () => {
  brokerContract({
    open: () =>
      new KafkaBroker(
        'kafka',
        { type: 'kafka', brokers: kafkaBrokers, consumer: { 'heartbeat.interval.ms': 100, 'session.timeout.ms': 6_000 } },
        { clientId: 'signalbox-test', topicRefreshMs: 300 },
      ),
  })
})
