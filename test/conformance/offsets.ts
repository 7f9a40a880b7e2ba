/** OffsetCommit (8), OffsetFetch (9), OffsetDelete (47): where a group stands. */
import assert from 'node:assert/strict'
import {
  deleteGroups,
  leaveGroup,
  offsetCommit,
  offsetDelete,
  offsetFetch,
} from '../../src/protocol/messages/index.ts'
import type { RequestOf } from '../../src/protocol/schema.ts'
import type { RawConnection } from '../support/raw-connection.ts'
import { caseOn, type Targeted } from './case.ts'
import { joinAs, stableGroup, subscribed } from './group-requests.ts'
import { named, type Target, type TopicInfo } from './target.ts'

const UNKNOWN_ID = 'AAAAAAAAAAAAAAAAAAAAAQ'

interface Commit {
  readonly partition: number
  readonly offset?: number
  readonly metadata?: string | null
  readonly leaderEpoch?: number
}

interface Committer {
  readonly generationId?: number
  readonly memberId?: string
  readonly groupInstanceId?: string | null
}

const topicKey = (topic: Pick<TopicInfo, 'name' | 'id'>, version: number) =>
  version >= 10 ? { topicId: topic.id } : { name: topic.name }

/** Commits to one topic and gives the error of each partition, by partition. */
async function commit(
  connection: RawConnection,
  version: number,
  given: { groupId: string; topic: Pick<TopicInfo, 'name' | 'id'>; commits: readonly Commit[] } & Committer,
): Promise<string[]> {
  const { groupId, generationId = -1, memberId = '', groupInstanceId } = given
  const partitions = given.commits.map(({ partition, offset = 5, metadata = 'm', leaderEpoch }) => ({
    partitionIndex: partition,
    committedOffset: offset,
    committedMetadata: metadata,
    ...(leaderEpoch === undefined || version < 6 ? {} : { committedLeaderEpoch: leaderEpoch }),
  }))
  const request: RequestOf<typeof offsetCommit> = {
    groupId,
    generationIdOrMemberEpoch: generationId,
    memberId,
    ...(groupInstanceId === undefined || version < 7 ? {} : { groupInstanceId }),
    topics: [{ ...topicKey(given.topic, version), partitions }],
  }
  const { topics } = await connection.send(offsetCommit, version, request)
  assert.equal(topics.length, 1)
  assert.equal(topics[0]?.name, version >= 10 ? '' : given.topic.name)
  if (version >= 10) assert.equal(topics[0]?.topicId, given.topic.id)
  const answered = new Map(topics[0]?.partitions.map((one) => [one.partitionIndex, one.errorCode]))
  return given.commits.map(({ partition }) => named(answered.get(partition)))
}

/** Fetches one group's offsets of a topic, or of all topics: `topic/partition` to what is there. */
async function fetchOffsets(
  connection: RawConnection,
  version: number,
  groupId: string,
  asked: { topic: Pick<TopicInfo, 'name' | 'id'>; partitions: number[] } | null,
) {
  const { topic, partitions: partitionIndexes } = asked ?? { topic: { name: '', id: '' }, partitions: [] }
  const topics = asked === null ? null : [{ ...topicKey(topic, version), partitionIndexes }]
  const request =
    version >= 8
      ? { groups: [{ groupId, topics }] }
      : { groupId, topics: topics === null ? null : [{ name: topic.name, partitionIndexes }] }
  const answer = await connection.send(offsetFetch, version, request)
  const group = version >= 8 ? answer.groups[0] : answer
  assert.ok(group)
  const found = group.topics.flatMap((one) => {
    const key = 'topicId' in one && version >= 10 ? one.topicId : one.name
    return one.partitions.map((part) => [
      `${key}/${part.partitionIndex}`,
      [part.committedOffset, part.committedLeaderEpoch, part.metadata, named(part.errorCode)],
    ])
  })
  return { error: named(group.errorCode), offsets: Object.fromEntries(found) }
}

const keyOf = (topic: TopicInfo, version: number, partition: number) =>
  `${version >= 10 ? topic.id : topic.name}/${partition}`

const NOTHING = [-1, -1, '', 'NONE']

async function withGroup(at: Target) {
  const groupId = at.name('group')
  const topic = await at.topic({ partitions: 3 })
  return { groupId, topic, connection: await at.connectToCoordinator(groupId) }
}

export function offsetCases(target: Targeted): void {
  const check = caseOn(target)

  check('OffsetCommit and OffsetFetch: what is committed is there, in every version', async (at) => {
    for (const version of at.versions(offsetCommit)) {
      const { groupId, topic, connection } = await withGroup(at)
      const commits = [
        { partition: 0, offset: 7, metadata: 'note', leaderEpoch: 3 },
        { partition: 1, offset: 0, metadata: null },
      ]
      assert.deepEqual(await commit(connection, version, { groupId, topic, commits }), ['NONE', 'NONE'])
      for (const fetchVersion of at.versions(offsetFetch)) {
        const key = (partition: number) => keyOf(topic, fetchVersion, partition)
        const epoch = version >= 6 && fetchVersion >= 5 ? 3 : -1
        const expected = { [key(0)]: [7, epoch, 'note', 'NONE'], [key(1)]: [0, -1, '', 'NONE'] }
        const asked = { topic, partitions: [0, 1, 2] }
        const some = await fetchOffsets(connection, fetchVersion, groupId, asked)
        assert.deepEqual(some, { error: 'NONE', offsets: { ...expected, [key(2)]: NOTHING } })
        if (fetchVersion < 2) continue
        const all = await fetchOffsets(connection, fetchVersion, groupId, null)
        assert.deepEqual(all, { error: 'NONE', offsets: expected })
      }
    }
  })

  check('OffsetCommit: unknown topics and partitions, and metadata that is too large', async (at) => {
    for (const version of at.versions(offsetCommit)) {
      const { groupId, topic, connection } = await withGroup(at)
      const commits = [
        { partition: 0, metadata: 'x'.repeat(4097) },
        { partition: 3 },
        { partition: -1 },
        { partition: 1 },
      ]
      assert.deepEqual(await commit(connection, version, { groupId, topic, commits }), [
        'OFFSET_METADATA_TOO_LARGE',
        'UNKNOWN_TOPIC_OR_PARTITION',
        'UNKNOWN_TOPIC_OR_PARTITION',
        'NONE',
      ])
      const nowhere = { name: at.name('no-topic'), id: UNKNOWN_ID }
      const unknown = await commit(connection, version, {
        groupId,
        topic: nowhere,
        commits: [{ partition: 0 }],
      })
      assert.deepEqual(unknown, [version >= 10 ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION'])
    }
  })

  check('OffsetCommit: who may commit', async (at) => {
    const topic = await at.topic()
    const commits = [{ partition: 0 }]
    for (const version of at.versions(offsetCommit)) {
      const groupId = at.name('group')
      const [member] = await stableGroup(at, groupId, [{ groupInstanceId: 'one' }])
      assert.ok(member)
      const { memberId, generationId } = member.joined
      const by = async (committer: Committer, id = groupId) =>
        (await commit(member.connection, version, { groupId: id, topic, commits, ...committer }))[0]
      assert.equal(await by({ memberId, generationId }), 'NONE')
      assert.equal(await by({ memberId, generationId: generationId + 1 }), 'ILLEGAL_GENERATION')
      assert.equal(await by({ memberId: 'nobody', generationId }), 'UNKNOWN_MEMBER_ID')
      assert.equal(await by({}), 'UNKNOWN_MEMBER_ID', 'a stranger, while there are members')
      if (version >= 7) {
        assert.equal(
          await by({ memberId: 'nobody', generationId, groupInstanceId: 'one' }),
          'FENCED_INSTANCE_ID',
        )
        assert.equal(await by({ memberId, generationId, groupInstanceId: 'none' }), 'UNKNOWN_MEMBER_ID')
        assert.equal(await by({ memberId, generationId, groupInstanceId: 'one' }), 'NONE')
      }
      const missing = version >= 9 ? 'GROUP_ID_NOT_FOUND' : 'ILLEGAL_GENERATION'
      assert.equal(await by({ memberId: 'nobody', generationId: 1 }, at.name('no-group')), missing)
      assert.equal(await by({}, ''), 'NONE', 'the empty group id is as good as any')
      const members = [{ memberId, groupInstanceId: 'one' }]
      await member.connection.send(leaveGroup, 3, { groupId, members })
      assert.equal(await by({ memberId, generationId }), 'UNKNOWN_MEMBER_ID')
      assert.equal(await by({}), 'NONE', 'a stranger, when nobody is left')
    }
  })

  check('OffsetCommit: refused between the generation and its assignment', async (at) => {
    const { groupId, topic, connection } = await withGroup(at)
    const { memberId, generationId } = await joinAs(connection, groupId)
    const commits = [{ partition: 0 }]
    const given = { groupId, topic, commits, memberId, generationId }
    for (const version of at.versions(offsetCommit)) {
      assert.deepEqual(await commit(connection, version, given), ['REBALANCE_IN_PROGRESS'])
    }
  })

  check('OffsetCommit: allowed while a rebalance gathers the members', async (at) => {
    const groupId = at.name('group')
    const topic = await at.topic()
    const [leader, follower] = await stableGroup(at, groupId, [{}, {}])
    assert.ok(leader && follower)
    const waiting = joinAs(leader.connection, groupId, 9, { memberId: leader.joined.memberId })
    const { memberId, generationId } = follower.joined
    const given = { groupId, topic, commits: [{ partition: 0 }], memberId, generationId }
    assert.deepEqual(await commit(follower.connection, 8, given), ['NONE'])
    await joinAs(follower.connection, groupId, 9, { memberId })
    await waiting
  })

  check('OffsetFetch: unknown groups, topics and partitions have nothing, without an error', async (at) => {
    const { groupId, topic, connection } = await withGroup(at)
    for (const version of at.versions(offsetFetch)) {
      const key = keyOf(topic, version, 0)
      const one = { topic, partitions: [0] }
      assert.deepEqual(await fetchOffsets(connection, version, at.name('no-group'), one), {
        error: 'NONE',
        offsets: { [key]: NOTHING },
      })
      assert.deepEqual(await fetchOffsets(connection, version, groupId, { topic, partitions: [99] }), {
        error: 'NONE',
        offsets: { [keyOf(topic, version, 99)]: NOTHING },
      })
      const nowhere = { name: at.name('no-topic'), id: UNKNOWN_ID, leaders: [] }
      const unknown = await fetchOffsets(connection, version, groupId, { topic: nowhere, partitions: [0] })
      const error = version >= 10 ? [-1, -1, '', 'UNKNOWN_TOPIC_ID'] : NOTHING
      assert.deepEqual(unknown, { error: 'NONE', offsets: { [keyOf(nowhere, version, 0)]: error } })
      if (version < 2) continue
      const all = await fetchOffsets(connection, version, at.name('no-group'), null)
      assert.deepEqual(all, { error: 'NONE', offsets: {} })
    }
  })

  check('OffsetFetch: several groups at once from version 8 on, stable offsets from 7', async (at) => {
    const { groupId, topic, connection } = await withGroup(at)
    await commit(connection, 8, { groupId, topic, commits: [{ partition: 2, offset: 9 }] })
    for (const version of at.versions(offsetFetch, 7)) {
      if (version === 7) {
        const topics = [{ name: topic.name, partitionIndexes: [2] }]
        const answer = await connection.send(offsetFetch, 7, { groupId, topics, requireStable: true })
        assert.equal(answer.topics[0]?.partitions[0]?.committedOffset, 9)
        continue
      }
      const topics = [{ ...topicKey(topic, version), partitionIndexes: [2] }]
      const groups = [
        { groupId, topics },
        { groupId: at.name('no-group'), topics: null },
        ...(version >= 9 ? [{ groupId, topics: null, memberId: 'anybody', memberEpoch: 9 }] : []),
      ]
      const answer = await connection.send(offsetFetch, version, { groups, requireStable: true })
      assert.deepEqual(
        answer.groups.map((group) => [
          named(group.errorCode),
          group.topics[0]?.partitions[0]?.committedOffset,
        ]),
        [
          ['NONE', 9],
          ['NONE', undefined],
          ['NONE', 9],
        ].slice(0, groups.length),
      )
    }
  })

  check('OffsetDelete: only what the members do not read', async (at) => {
    const groupId = at.name('group')
    const [read, unread] = [await at.topic({ partitions: 2 }), await at.topic({ partitions: 2 })]
    const protocols = [{ name: 'range', metadata: subscribed(read.name) }]
    const [member] = await stableGroup(at, groupId, [{ protocols }])
    assert.ok(member)
    const { connection, joined } = member
    const { memberId, generationId } = joined
    for (const topic of [read, unread]) {
      const commits = [{ partition: 0 }, { partition: 1 }]
      await commit(connection, 8, { groupId, topic, commits, memberId, generationId })
    }
    const remove = async (id: string, name: string, ...partitions: number[]) => {
      const topics = [{ name, partitions: partitions.map((partitionIndex) => ({ partitionIndex })) }]
      const answer = await connection.send(offsetDelete, 0, { groupId: id, topics })
      const errors = new Map(
        answer.topics[0]?.partitions.map((one) => [one.partitionIndex, named(one.errorCode)]),
      )
      return [named(answer.errorCode), ...partitions.map((partition) => errors.get(partition))]
    }
    assert.deepEqual(await remove(groupId, read.name, 0), ['NONE', 'GROUP_SUBSCRIBED_TO_TOPIC'])
    assert.deepEqual(await remove(groupId, unread.name, 0, 5), ['NONE', 'NONE', 'UNKNOWN_TOPIC_OR_PARTITION'])
    assert.deepEqual(await remove(groupId, at.name('no-topic'), 0), ['NONE', 'UNKNOWN_TOPIC_OR_PARTITION'])
    assert.deepEqual(await remove('', unread.name, 0), ['INVALID_GROUP_ID', undefined])
    assert.deepEqual(await remove(at.name('no-group'), unread.name, 0), ['GROUP_ID_NOT_FOUND', undefined])
    const left = await fetchOffsets(connection, 7, groupId, null)
    assert.deepEqual(
      Object.keys(left.offsets).toSorted(),
      [`${read.name}/0`, `${read.name}/1`, `${unread.name}/1`].toSorted(),
    )
  })

  check('OffsetDelete: a group of another kind must be empty', async (at) => {
    const groupId = at.name('group')
    const topic = await at.topic()
    const protocols = [{ name: 'own', metadata: Buffer.from('own') }]
    const connection = await at.connectToCoordinator(groupId)
    await joinAs(connection, groupId, 9, { protocolType: 'own', protocols })
    const topics = [{ name: topic.name, partitions: [{ partitionIndex: 0 }] }]
    const answer = await connection.send(offsetDelete, 0, { groupId, topics })
    assert.equal(named(answer.errorCode), 'NON_EMPTY_GROUP')
  })

  check('DeleteGroups: the offsets go with the group', async (at) => {
    const { groupId, topic, connection } = await withGroup(at)
    await commit(connection, 8, { groupId, topic, commits: [{ partition: 0 }] })
    await connection.send(deleteGroups, 1, { groupsNames: [groupId] })
    assert.deepEqual((await fetchOffsets(connection, 7, groupId, null)).offsets, {})
  })
}
