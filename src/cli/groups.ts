/** `ottla groups`: list, describe with lag, delete. */
import { OttlaError } from '../errors.ts'
import type { Admin, DescribedGroup } from '../index.ts'
import { command, option } from './command.ts'
import { type ConnectionFlags, connected, withKafka } from './connection.ts'
import { print, table } from './output.ts'

export const groupsCommand = () =>
  command('groups')
    .description('List consumer groups, show how far they are behind, and delete them.')
    .addCommand(listGroups())
    .addCommand(describeGroup())
    .addCommand(deleteGroups())

const listGroups = () =>
  connected('list')
    .description('List the groups.')
    .addOption(option('--json', 'print JSON'))
    .action((flags) =>
      withKafka(flags, async (kafka) => {
        const groups = await kafka.admin().listGroups()
        if (flags.json) return print(groups)
        const rows = groups.map(({ groupId, state, type }) => [groupId, state, type])
        print(table(['GROUP', 'STATE', 'TYPE'], rows))
      }),
    )

const describeGroup = () =>
  connected('describe')
    .description('Show the members of a group, what each owns, and how far the group is behind.')
    .argument('<group>', 'its id')
    .addOption(option('--json', 'print JSON'))
    .action(describe)

/** One partition of a group. */
interface Lag {
  readonly topic: string
  readonly partition: number
  /** Null: nothing is committed. */
  readonly committed: number | null
  readonly logEnd: number | null
  readonly lag: number | null
  /** Who owns it, by client id. */
  readonly owner: string | null
}

async function describe(groupId: string, flags: ConnectionFlags): Promise<void> {
  await withKafka(flags, async (kafka) => {
    const admin = kafka.admin()
    const [group] = await admin.describeGroups([groupId])
    const lags = await lagsOf(admin, groupId, group)
    if (group === undefined || (group.state === 'Dead' && lags.length === 0)) {
      throw new OttlaError('GROUP_ID_NOT_FOUND', `There is no group ${groupId}.`, { groupId })
    }
    if (flags.json) return print({ ...group, partitions: lags })
    print(`${groupId}  ${group.state}${group.protocol === '' ? '' : `, ${group.protocol}`}\n`)
    if (group.members.length > 0) {
      const members = group.members.map(({ memberId, clientId, clientHost, assignment }) => [
        ...[clientId, clientHost, assignment.length, memberId],
      ])
      print(`\n${table(['CLIENT', 'HOST', 'PARTITIONS', 'MEMBER'], members)}`)
    }
    const rows = lags.map(({ topic, partition, committed, logEnd, lag, owner }) => [
      ...[topic, partition, committed ?? '-', logEnd ?? '?', lag ?? '?', owner ?? '-'],
    ])
    if (rows.length > 0) {
      print(`\n${table(['TOPIC', 'PARTITION', 'COMMITTED', 'NEXT', 'LAG', 'OWNER'], rows)}`)
    }
  })
}

/** What is committed and what a member owns, by topic and partition. */
async function lagsOf(admin: Admin, groupId: string, group: DescribedGroup | undefined): Promise<Lag[]> {
  const members = group?.members ?? []
  const partitions = members.flatMap(({ assignment }) => assignment)
  const owners = new Map(
    members.flatMap(({ clientId, assignment }) =>
      assignment.map(({ topic, partition }) => [`${topic}-${partition}`, clientId] as const),
    ),
  )
  const lags = await admin.groupLag(groupId, { partitions })
  return lags.map(({ topic, partition, committedOffset: committed, logEndOffset: logEnd, lag }) => {
    const owner = owners.get(`${topic}-${partition}`) ?? null
    return { topic, partition, committed, logEnd, lag, owner }
  })
}

const deleteGroups = () =>
  connected('delete')
    .description('Delete groups that have no members, with all that they have committed.')
    .argument('<group...>', 'their ids')
    .addOption(option('--json', 'print JSON'))
    .action((groupIds, flags) =>
      withKafka(flags, async (kafka) => {
        await kafka.admin().deleteGroups(groupIds)
        print(flags.json ? { deleted: groupIds } : groupIds.map((id) => `deleted ${id}\n`).join(''))
      }),
    )
