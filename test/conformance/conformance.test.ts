/** Every suite on the embedded broker, in one process: the ledger of errors at the end is about all of them. */
import { embeddedPlace } from './embedded-place.ts'
import { ErrorLedger, errorLedgerCases } from './error-ledger.ts'
import { LOG_BYTES, limits, limitsSettings } from './limits.ts'
import { olderRules } from './replicas.ts'
import { saslConformance, saslSettings } from './sasl.ts'
import { severalNodes, severalNodesSettings } from './several-nodes.ts'
import { conformance } from './suite.ts'

const ledger = new ErrorLedger()
const NAME = 'the embedded broker'

conformance(NAME, () => embeddedPlace({ brokers: 1 }, ledger))

severalNodes(NAME, () => {
  const settings = Object.entries(severalNodesSettings).map(([key, value]) => [key, String(value)])
  return embeddedPlace({ brokers: 3, configs: Object.fromEntries(settings) }, ledger)
})

saslConformance(NAME, () => {
  const { users, mechanisms, maxReauthMs } = saslSettings
  const configs = { 'connections.max.reauth.ms': String(maxReauthMs) }
  return embeddedPlace({ brokers: 1, sasl: { users, mechanisms }, configs }, ledger)
})

limits(NAME, () => embeddedPlace({ brokers: 1, configs: limitsSettings, logBytes: LOG_BYTES }, ledger))

olderRules(NAME, () => embeddedPlace({ brokers: 2, kafkaVersion: '3.6' }, ledger))

errorLedgerCases(ledger, {
  exceptions: {},
  silent: {
    Produce: { from: 0, to: 2, why: 'advertised for old clients, and closes the connection' },
    ApiVersions: { from: 1, to: 2, why: 'these have nothing that could be wrong' },
    ListPartitionReassignments: { from: 0, to: 0, why: 'what is not there is left out' },
    DescribeLogDirs: { from: 1, to: 5, why: 'what is not there is left out' },
    DescribeCluster: { from: 0, to: 0, why: 'it has nothing that could be wrong' },
  },
})
