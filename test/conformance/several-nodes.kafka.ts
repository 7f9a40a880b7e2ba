import { startKafka } from '../../tools/kafka/index.ts'
import { parseAddress } from '../support/raw-connection.ts'
import { saslConformance, saslSettings } from './sasl.ts'
import { severalNodes, severalNodesSettings } from './several-nodes.ts'

/** One cluster for both suites: its client listener asks for SASL, the one between its nodes does not. */
const kafka = await startKafka({
  nodes: 3,
  security: {
    protocol: 'SASL_PLAINTEXT',
    mechanisms: saslSettings.mechanisms,
    users: saslSettings.users,
  },
  properties: { ...severalNodesSettings, 'connections.max.reauth.ms': saslSettings.maxReauthMs },
})
let users = 2
const stop = async () => {
  if (--users === 0) await kafka.stop()
}

severalNodes('Apache Kafka', async () => ({
  addresses: kafka.plaintextBrokers.map(parseAddress),
  cluster: undefined,
  nodes: {
    stop: async (nodeId) => kafka.nodes[nodeId - 1]?.kill('SIGTERM'),
    start: async (nodeId) => kafka.nodes[nodeId - 1]?.restart(),
  },
  stop,
}))

saslConformance('Apache Kafka', async () => ({
  addresses: kafka.brokers.map(parseAddress),
  cluster: undefined,
  stop,
}))
