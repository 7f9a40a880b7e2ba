import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Membership, refusal, verdictOf } from '../../src/consumer/membership.ts'
import { errorCode } from '../../src/protocol/error-codes.ts'

test('what each error code of the coordinator asks for', () => {
  const expected = {
    join: { MEMBER_ID_REQUIRED: 'again', REBALANCE_IN_PROGRESS: 'retry', UNKNOWN_MEMBER_ID: 'lost' },
    sync: { REBALANCE_IN_PROGRESS: 'rejoin', ILLEGAL_GENERATION: 'lost', UNKNOWN_MEMBER_ID: 'lost' },
    heartbeat: { REBALANCE_IN_PROGRESS: 'rejoin', ILLEGAL_GENERATION: 'lost', UNKNOWN_MEMBER_ID: 'lost' },
    commit: {
      REBALANCE_IN_PROGRESS: 'retry',
      ILLEGAL_GENERATION: 'lost',
      UNKNOWN_TOPIC_OR_PARTITION: 'retry',
    },
    offsets: { UNSTABLE_OFFSET_COMMIT: 'retry' },
  } as const
  for (const [asked, codes] of Object.entries(expected)) {
    for (const [name, verdict] of Object.entries(codes)) {
      assert.equal(verdictOf(asked as 'join', errorCode[name as 'NONE']), verdict, `${asked} ${name}`)
    }
    assert.equal(verdictOf(asked as 'join', errorCode.NONE), 'ok')
    assert.equal(verdictOf(asked as 'join', errorCode.NOT_COORDINATOR), 'coordinator')
    assert.equal(verdictOf(asked as 'join', errorCode.COORDINATOR_LOAD_IN_PROGRESS), 'retry')
    assert.equal(verdictOf(asked as 'join', errorCode.FENCED_INSTANCE_ID), 'fenced')
    assert.equal(verdictOf(asked as 'join', errorCode.GROUP_AUTHORIZATION_FAILED), 'fatal')
  }
  assert.equal(refusal(errorCode.FENCED_INSTANCE_ID, 'joining', 'g').code, 'GROUP_FENCED')
  assert.equal(refusal(errorCode.INVALID_SESSION_TIMEOUT, 'joining', 'g').code, 'INVALID_SESSION_TIMEOUT')
})

test('a membership from joining to loss', () => {
  const membership = new Membership()
  assert.equal(membership.identity(), undefined)
  membership.named('m-1')
  assert.equal(membership.memberId, 'm-1')
  membership.joined({ memberId: 'm-1', generation: 4 })
  assert.deepEqual(membership.identity(), { memberId: 'm-1', generation: 4 })
  assert.equal(membership.isStable, false)
  membership.synced()
  assert.equal(membership.isStable, true)
  membership.joined({ memberId: 'm-1', generation: 5 })
  // What is owned was given by generation 4: its SyncGroup of 5 has not come.
  assert.deepEqual([membership.generation, membership.ownedGeneration], [5, 4])
  membership.lost(errorCode.ILLEGAL_GENERATION)
  assert.deepEqual([membership.memberId, membership.generation, membership.ownedGeneration], ['m-1', -1, -1])
  membership.lost(errorCode.UNKNOWN_MEMBER_ID)
  assert.equal(membership.memberId, '')
})
