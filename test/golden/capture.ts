/**
 * `node test/golden/capture.ts`: writes down what Kafka's own tools and a real Kafka say to each other, into
 * `test/golden/*.json`. Needs Java and Maven, or OTTLA_KAFKA_LIBS and one plain-text broker in OTTLA_KAFKA_BROKERS.
 *
 * To be run again when the tables learn new versions, with that version of Kafka in OTTLA_KAFKA_VERSION; the test
 * beside it then decodes the new frames.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { apiOfKey } from '../../src/protocol/messages/index.ts'
import { ensureJars, kafkaVersion, runKafkaTool, startKafka } from '../../tools/kafka/index.ts'
import { type GoldenFile, type GoldenFrame, goldenLine } from './format.ts'
import { type RecordingProxy, startRecordingProxy } from './recording-proxy.ts'

/** Of one API, version and direction this many frames are kept, those of different sizes first come. */
const KEEP = 4

interface Step {
  readonly tool: string
  readonly args: readonly string[]
  readonly input?: string
  /** Killed after this. */
  readonly timeoutMs?: number
  /** A tool that is told to fail, or that ends with its own timeout, is not a failed capture. */
  readonly mayFail?: boolean
}

interface Conversation {
  readonly name: string
  readonly about: string
  readonly steps: readonly Step[]
}

const topicCommand = (...args: string[]): Step => ({ tool: 'TopicCommand', args })
const groupCommand = (...args: string[]): Step => ({ tool: 'ConsumerGroupCommand', args })

const lines = (count: number) =>
  Array.from(
    { length: count },
    (_, index) => `h1:v${index},h2:ü\tkey-${index % 5}\tvalue number ${index} of many, käse`,
  ).join('\n')

const produce = (codec: string): Step => ({
  tool: 'ConsoleProducer',
  args: [
    '--topic',
    'golden',
    `--compression-codec=${codec}`,
    '--reader-property',
    'parse.key=true',
    '--reader-property',
    'parse.headers=true',
  ],
  input: `${lines(40)}\n`,
})

const consume = (group: string, ...more: string[]): Step => ({
  tool: 'ConsoleConsumer',
  args: ['--topic', 'golden', '--group', group, '--from-beginning', '--max-messages', '60', ...more],
})

const transact = (records: number, durationMs: number): Step => ({
  tool: 'org.apache.kafka.tools.ProducerPerformance',
  args: [
    ...['--topic', 'ledger', '--num-records', String(records), '--record-size', '40', '--throughput', '5'],
    ...['--transaction-duration-ms', String(durationMs)],
    ...['--producer-props', 'transactional.id=golden', 'bootstrap.servers=PROXY'],
  ],
})

const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

const conversations: readonly Conversation[] = [
  {
    name: 'topics',
    about: 'TopicCommand creates, lists, describes, changes and deletes topics',
    steps: [
      topicCommand('--create', '--topic', 'golden', '--partitions', '3', '--config', 'retention.ms=86400000'),
      topicCommand('--create', '--topic', 'gone', '--partitions', '1'),
      topicCommand('--list'),
      topicCommand('--describe', '--topic', 'golden'),
      topicCommand('--alter', '--topic', 'golden', '--partitions', '4'),
      topicCommand('--delete', '--topic', 'gone'),
    ],
  },
  ...codecs.map((codec) => ({
    name: `produce-${codec}`,
    about: `ConsoleProducer sends 40 records with keys and headers, compression ${codec}`,
    steps: [produce(codec)],
  })),
  {
    name: 'consume',
    about:
      'ConsoleConsumer reads everything as the member of a group, then as a static member, then by offsets',
    steps: [
      consume('readers'),
      consume(
        'members',
        '--consumer-property',
        'group.instance.id=one',
        '--isolation-level',
        'read_committed',
      ),
      {
        tool: 'ConsoleConsumer',
        args: ['--topic', 'golden', '--partition', '0', '--offset', 'earliest', '--max-messages', '1'],
      },
      { tool: 'GetOffsetShell', args: ['--topic', 'golden'] },
    ],
  },
  {
    name: 'groups',
    about: 'ConsumerGroupCommand lists, describes, resets, and deletes offsets and groups',
    steps: [
      groupCommand('--list', '--state'),
      groupCommand('--describe', '--group', 'readers'),
      groupCommand('--describe', '--group', 'readers', '--members', '--verbose'),
      groupCommand(
        '--reset-offsets',
        '--group',
        'readers',
        '--topic',
        'golden',
        '--to-earliest',
        '--execute',
      ),
      groupCommand('--delete-offsets', '--group', 'readers', '--topic', 'golden'),
      groupCommand('--delete', '--group', 'readers'),
    ],
  },
  {
    name: 'configs',
    about: 'ConfigCommand changes and describes the configuration of a topic and of a broker',
    steps: [
      {
        tool: 'ConfigCommand',
        args: [
          '--alter',
          '--entity-type',
          'topics',
          '--entity-name',
          'golden',
          '--add-config',
          'max.message.bytes=2000000',
        ],
      },
      { tool: 'ConfigCommand', args: ['--describe', '--entity-type', 'topics', '--entity-name', 'golden'] },
    ],
  },
  {
    name: 'transactions',
    about:
      'ProducerPerformance dies inside of a transaction, the next one aborts it and commits; both are read',
    steps: [
      topicCommand('--create', '--topic', 'ledger', '--partitions', '1'),
      { ...transact(400, 60_000), timeoutMs: 12_000, mayFail: true },
      transact(20, 800),
      {
        tool: 'org.apache.kafka.tools.TransactionsCommand',
        args: ['describe-producers', '--topic', 'ledger', '--partition', '0'],
      },
      ...['read_committed', 'read_uncommitted'].map((isolation) => ({
        tool: 'ConsoleConsumer',
        args: [
          '--topic',
          'ledger',
          '--from-beginning',
          '--isolation-level',
          isolation,
          '--timeout-ms',
          '4000',
        ],
        mayFail: true,
      })),
    ],
  },
  {
    name: 'cluster',
    about:
      'LeaderElectionCommand, ReassignPartitionsCommand and ClusterTool ask for what the admin client knows',
    steps: [
      {
        tool: 'org.apache.kafka.tools.LeaderElectionCommand',
        args: ['--election-type', 'preferred', '--all-topic-partitions'],
        mayFail: true,
      },
      { tool: 'org.apache.kafka.tools.reassign.ReassignPartitionsCommand', args: ['--list'] },
      { tool: 'org.apache.kafka.tools.DeleteRecordsCommand', args: ['--offset-json-file', 'OFFSETS'] },
    ],
  },
]

async function main(): Promise<void> {
  const version = kafkaVersion()
  const libs = process.env['OTTLA_KAFKA_LIBS'] ?? (await ensureJars(version))
  const given = process.env['OTTLA_KAFKA_BROKERS']
  await using kafka = given === undefined ? await startKafka({ version }) : undefined
  const broker = given ?? (kafka?.brokers[0] as string)
  const proxy = await startRecordingProxy(broker)
  const folder = mkdtempSync(join(tmpdir(), 'ottla-golden-'))
  const offsets = join(folder, 'offsets.json')
  writeFileSync(
    offsets,
    JSON.stringify({ partitions: [{ topic: 'golden', partition: 1, offset: 1 }], version: 1 }),
  )
  try {
    for (const conversation of conversations) {
      const frames = await hold(conversation, proxy, { libs, offsets })
      const file: GoldenFile = { about: conversation.about, kafka: version, frames: frames.map(goldenLine) }
      const path = join(import.meta.dirname, `${conversation.name}.json`)
      writeFileSync(path, `${JSON.stringify(file, null, 1)}\n`)
      process.stdout.write(`${conversation.name}: ${frames.length} frames\n`)
    }
  } finally {
    rmSync(folder, { recursive: true })
    await proxy.stop()
  }
}

interface Places {
  /** Of the jars. */
  readonly libs: string
  /** What DeleteRecordsCommand reads. */
  readonly offsets: string
}

async function hold(
  conversation: Conversation,
  proxy: RecordingProxy,
  { libs, offsets }: Places,
): Promise<GoldenFrame[]> {
  for (const { tool, args, mayFail = false, ...options } of conversation.steps) {
    const given = args.map((arg) => arg.replace('PROXY', proxy.address).replace('OFFSETS', offsets))
    const where = args.some((arg) => arg.includes('PROXY')) ? [] : ['--bootstrap-server', proxy.address]
    const result = await runKafkaTool(tool, [...where, ...given], { libs, ...options })
    if (result.code !== 0 && !mayFail) {
      const printed = `${result.stdout}${result.stderr}`
      throw new Error(`${tool} ${args.join(' ')} ended with ${result.code}:\n${printed}`)
    }
  }
  return chosen(proxy.take())
}

/** Frames of APIs that we describe; of many alike the first few. */
function chosen(frames: readonly GoldenFrame[]): GoldenFrame[] {
  const kept = new Map<string, Set<number>>()
  return frames.filter(({ direction, apiKey, version, bytes }) => {
    const api = apiOfKey(apiKey)
    if (api === undefined || version < api.versions[0] || version > api.versions[1]) return false
    const key = `${direction} ${apiKey} ${version}`
    const sizes = kept.get(key) ?? new Set()
    kept.set(key, sizes)
    if (sizes.size >= KEEP || sizes.has(bytes.length)) return false
    sizes.add(bytes.length)
    return true
  })
}

await main()
