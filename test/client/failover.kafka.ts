import { startKafka } from '../../tools/kafka/index.ts'
import { failoverSuite } from './failover-suite.ts'

failoverSuite('Apache Kafka', async () => {
  const kafka = await startKafka({ nodes: 3 })
  const node = (nodeId: number) => {
    const found = kafka.nodes.find(({ id }) => id === nodeId)
    if (found === undefined) throw new Error(`no node ${nodeId}`)
    return found
  }
  return {
    brokers: kafka.brokers,
    kill: (nodeId) => node(nodeId).kill(),
    restart: (nodeId) => node(nodeId).restart(),
    stop: () => kafka.stop(),
  }
})
