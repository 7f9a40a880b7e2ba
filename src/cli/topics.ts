/** `ottla topics`: list, create, describe, delete. */
import type { TopicMetadata } from '../index.ts'
import { command, integer, option, pair, present } from './command.ts'
import { type ConnectionFlags, connected, withKafka } from './connection.ts'
import { plural, print, table } from './output.ts'

export const topicsCommand = () =>
  command('topics')
    .description('List, create, describe and delete topics.')
    .addCommand(listTopics())
    .addCommand(createTopic())
    .addCommand(describeTopic())
    .addCommand(deleteTopics())

const listTopics = () =>
  connected('list')
    .description('List the topics.')
    .addOption(option('--internal', "Kafka's own too"))
    .addOption(option('--json', 'print JSON'))
    .action((flags) =>
      withKafka(flags, async (kafka) => {
        const topics = await kafka.admin().listTopics({ includeInternal: flags.internal === true })
        topics.sort((a, b) => (a.name < b.name ? -1 : 1))
        if (flags.json) return print(topics.map(summary))
        const rows = topics.map(({ name, partitions }) => [name, partitions.length, replicasOf(partitions)])
        print(table(['TOPIC', 'PARTITIONS', 'REPLICAS'], rows))
      }),
    )

type Partitions = TopicMetadata['partitions']

const replicasOf = (partitions: Partitions) => partitions[0]?.replicas.length ?? 0

const summary = ({ name, topicId, partitions, isInternal }: TopicMetadata) => ({
  name,
  topicId,
  partitions: partitions.length,
  replicas: replicasOf(partitions),
  internal: isInternal,
})

const createTopic = () =>
  connected('create')
    .description('Create a topic.')
    .argument('<topic>', 'its name')
    .addOption(
      option('-p, --partitions <n>', "how many; the broker's default unless said").argParser(
        integer(1, 1_000_000),
      ),
    )
    .addOption(
      option('-r, --replicas <n>', "of each partition; the broker's default unless said").argParser(
        integer(1, 0x7fff),
      ),
    )
    .addOption(
      option(
        '-c, --config <name=value>',
        'a setting such as retention.ms; may be given several times',
      ).argParser(pair),
    )
    .addOption(option('--json', 'print JSON'))
    .action((name, flags) =>
      withKafka(flags, async (kafka) => {
        const { partitions, replicas, config: configs } = flags
        const [created] = await kafka
          .admin()
          .createTopics([{ name, ...present({ partitions, replicas, configs }) }])
        if (flags.json) return print(created)
        print(created === undefined || created.partitions < 0 ? `created ${name}\n` : told(created))
      }),
    )

const told = ({ name, partitions, replicas }: { name: string; partitions: number; replicas: number }) =>
  `created ${name} with ${plural(partitions, 'partition')} and ${plural(replicas, 'replica')} of each\n`

const describeTopic = () =>
  connected('describe')
    .description(
      'Show the partitions of a topic, what they hold, and the settings that differ from the defaults.',
    )
    .argument('<topic>', 'its name')
    .addOption(option('--json', 'print JSON'))
    .action(describe)

async function describe(name: string, flags: ConnectionFlags): Promise<void> {
  await withKafka(flags, async (kafka) => {
    const admin = kafka.admin()
    const topics = await admin.describeTopics([name])
    const [configs] = await admin.describeConfigs([{ type: 'topic', name }])
    const settings = (configs?.entries ?? []).filter(({ isDefault }) => !isDefault)
    for (const { topicId, partitions } of topics) {
      const led = partitions.filter(({ leaderId }) => leaderId >= 0)
      const offsets = async (position: 'earliest' | 'latest') => {
        const found = await admin.listOffsets(
          led.map(({ partition }) => ({ topic: name, partition, position })),
        )
        return new Map(found.map(({ partition, offset }) => [partition, offset]))
      }
      const [starts, ends] = await Promise.all([offsets('earliest'), offsets('latest')])
      const rows = partitions.map(({ partition, leaderId, leaderEpoch, replicas, isr }) => ({
        ...{ partition, leader: leaderId, leaderEpoch, replicas, isr },
        ...{ logStart: starts.get(partition) ?? null, logEnd: ends.get(partition) ?? null },
      }))
      if (flags.json) {
        const config = Object.fromEntries(settings.map(({ name: key, value }) => [key, value]))
        return print({ name, topicId, partitions: rows, config })
      }
      print(`${name}  ${topicId}\n\n`)
      const cells = rows.map((row) => [
        ...[row.partition, row.leader < 0 ? 'none' : row.leader, row.replicas.join(','), row.isr.join(',')],
        ...[row.logStart ?? '?', row.logEnd ?? '?'],
      ])
      print(table(['PARTITION', 'LEADER', 'REPLICAS', 'IN SYNC', 'FIRST', 'NEXT'], cells))
      if (settings.length > 0) {
        print(
          `\n${table(
            ['SETTING', 'VALUE'],
            settings.map(({ name: key, value }) => [key, value ?? '']),
          )}`,
        )
      }
    }
  })
}

const deleteTopics = () =>
  connected('delete')
    .description('Delete topics with all that is in them.')
    .argument('<topic...>', 'their names')
    .addOption(option('--json', 'print JSON'))
    .action((names, flags) =>
      withKafka(flags, async (kafka) => {
        await kafka.admin().deleteTopics(names)
        print(flags.json ? { deleted: names } : names.map((name) => `deleted ${name}\n`).join(''))
      }),
    )
