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

async function lagsOf(admin: Admin, groupId: string, group: DescribedGroup | undefined): Promise<Lag[]> {
  const rows = new Map<
    string,
    { topic: string; partition: number; committed: number | null; owner: string | null }
  >()
  for (const { topic, partition, offset } of await admin.groupOffsets(groupId)) {
    rows.set(`${topic}-${partition}`, { topic, partition, committed: offset, owner: null })
  }
  for (const { clientId, assignment } of group?.members ?? []) {
    for (const { topic, partition } of assignment) {
      const committed = rows.get(`${topic}-${partition}`)?.committed ?? null
      rows.set(`${topic}-${partition}`, { topic, partition, committed, owner: clientId })
    }
  }
  const sorted = [...rows.values()].sort((a, b) =>
    a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1,
  )
  return Promise.all(
    sorted.map(async (row) => {
      const [first, end] = await boundsOf(admin, row)
      // Without a commit everything that the log still holds is to be done.
      const lag = end === null ? null : Math.max(0, end - Math.max(row.committed ?? 0, first ?? 0))
      const { topic, partition, committed, owner } = row
      return { topic, partition, committed, logEnd: end, lag, owner }
    }),
  )
}

/** Nulls for a topic that is gone, of which the group still holds an offset. */
async function boundsOf(
  admin: Admin,
  { topic, partition }: { topic: string; partition: number },
): Promise<[first: number | null, end: number | null]> {
  try {
    const [first, end] = await admin.listOffsets([
      { topic, partition, position: 'earliest' },
      { topic, partition, position: 'latest' },
    ])
    return [first?.offset ?? null, end?.offset ?? null]
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'UNKNOWN_TOPIC_OR_PARTITION')
      return [null, null]
    throw error
  }
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
