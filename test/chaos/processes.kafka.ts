/** The same on a real Apache Kafka of three nodes: brokers and members are killed with SIGKILL while records stream. */
import { type Kafka, type KafkaNode, startKafka } from '../../tools/kafka/index.ts'
import { chaosOn, impatient, pick } from './scenario.ts'

const properties = {
  ...{ 'group.initial.rebalance.delay.ms': 0, 'group.min.session.timeout.ms': 500 },
  ...{ 'default.replication.factor': 3, 'min.insync.replicas': 2 },
  ...{ 'offsets.topic.replication.factor': 3, 'offsets.topic.num.partitions': 3 },
  // A dead broker is missed as soon as a dead member.
  ...{ 'broker.session.timeout.ms': 3000, 'broker.heartbeat.interval.ms': 500 },
}

chaosOn<Kafka>(
  'brokers and members of a real Kafka are killed, one after the other',
  {
    partitions: 6,
    members: 2,
    member: impatient,
    produce: {
      ...{ records: 40_000, keys: 300, valueBytes: 80, recordsPerSecond: 1000 },
      producer: { lingerMs: 2 },
    },
    course: async ({ troupe, cluster, random, share }) => {
      let last = 2
      const bounce = async (node: KafkaNode) => {
        const fault = { fault: 'broker', target: String(node.id) }
        await troupe.fault({ ...fault, phase: 'begin' }, () => node.kill('SIGKILL'))
        await troupe.pause(1000 + random.below(4000))
        await troupe.fault({ ...fault, phase: 'end' }, () => node.restart())
      }
      for (const at of [0.1, 0.35, 0.6]) {
        await share(at)
        await bounce(pick(random, cluster.nodes))
        await troupe.killMember(pick(random, troupe.members))
        troupe.startMember(`member-${++last}`, impatient)
      }
    },
  },
  async (t) => {
    const kafka = await startKafka({ nodes: 3, properties })
    t.after(() => kafka.stop())
    return { brokers: kafka.brokers, cluster: kafka }
  },
)
