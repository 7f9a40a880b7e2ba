/** `ottla dev`: a Kafka for this machine, in this process, until it is told to stop. */
import { once } from 'node:events'
import { InvalidArgumentError } from 'commander'
import { command, hostPort, integer, option } from './command.ts'
import { UsageError } from './failure.ts'
import { plural } from './output.ts'

interface DevFlags {
  readonly listen: { readonly host: string; readonly port: number }
  readonly brokers: number
  readonly topic?: Readonly<Record<string, number>> | undefined
  readonly autoCreate?: true | undefined
  readonly json?: true | undefined
}

export const devCommand = () =>
  command('dev')
    .summary('run an embedded Kafka for development')
    .description(
      'Runs a Kafka cluster in this process, for development and tests: real sockets, real replicas, nothing on disk. It ends with SIGINT or SIGTERM, and so does everything in it.',
    )
    .addOption(
      option('-l, --listen <host:port>', 'where the first broker listens; the others take the ports after it')
        .argParser(hostPort)
        .default({ host: '127.0.0.1', port: 9092 }, '127.0.0.1:9092'),
    )
    .addOption(option('-n, --brokers <n>', 'how many brokers').argParser(integer(1, 16)).default(1))
    .addOption(
      option('-t, --topic <name:partitions>', 'a topic to begin with; may be given several times').argParser(
        topic,
      ),
    )
    .addOption(option('--auto-create', 'create a topic when somebody asks for it'))
    .addOption(option('--json', 'print the addresses as JSON'))
    .action(dev)

function topic(text: string, previous: Readonly<Record<string, number>> | undefined): Record<string, number> {
  const [, name, partitions] = /^([a-zA-Z0-9._-]{1,249})(?::(\d{1,5}))?$/.exec(text) ?? []
  if (name === undefined) throw new InvalidArgumentError('It must look like name or name:partitions.')
  return { ...previous, [name]: integer(1, 10_000)(partitions ?? '1') }
}

async function dev(flags: DevFlags): Promise<void> {
  // Before the start: a signal while it is starting must not be lost.
  const ended = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
  const { startCluster } = await import('../broker/index.ts')
  const { listen, brokers } = flags
  if (listen.port !== 0 && listen.port + brokers - 1 > 65_535) {
    throw new UsageError(`--listen ${listen.port}: there are not ${brokers} ports from there.`)
  }
  const cluster = await startCluster({
    brokers,
    listen,
    autoCreateTopics: flags.autoCreate === true,
    topics: { ...flags.topic },
  }).catch((error: NodeJS.ErrnoException) => {
    throw isTaken(error)
      ? new UsageError(`A port from ${listen.port} on is taken: free it, or say --listen ${listen.host}:0.`)
      : error
  })
  try {
    tell(cluster, flags)
    await ended
  } finally {
    await cluster.stop()
  }
}

function isTaken(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EADDRINUSE') return true
  }
  return false
}

function tell(
  cluster: { readonly brokers: readonly string[]; readonly clusterId: string },
  flags: DevFlags,
): void {
  const { brokers, clusterId } = cluster
  if (flags.json) {
    process.stdout.write(`${JSON.stringify({ brokers, clusterId })}\n`)
    return
  }
  const topics = Object.entries(flags.topic ?? {})
  const lines = [
    `${plural(brokers.length, 'broker')} at ${brokers.join(', ')}`,
    ...topics.map(([name, partitions]) => `topic ${name} with ${plural(partitions, 'partition')}`),
    '',
    `export KAFKA_BROKERS=${brokers.join(',')}`,
    '',
    'Ctrl-C ends it.',
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}
