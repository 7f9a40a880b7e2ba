/**
 * The sticky assignment (KIP-54) and the rule that makes it cooperative (KIP-429).
 *
 *     1. every member keeps what it owns, where its claim holds
 *     2. what nobody owns goes to the member with the least that wants its topic, the pickiest partitions first
 *     3. while a member has at least two more than another that could take one of them, one moves
 *
 * With equal subscriptions the result differs by at most one partition between members, and no partition moves that
 * did not have to. A claim holds when it is of the newest generation that anybody claims the partition in, and only
 * one member claims it there: an older claim comes from a member that missed a rebalance.
 */
import { assert } from '../util/assert.ts'
import type { GroupMember } from './assignment.ts'
import { partitionKey, type TopicPartition } from './topic-partition.ts'

interface Taker {
  readonly memberId: string
  readonly topics: ReadonlySet<string>
  readonly taken: Map<string, TopicPartition>
}

/** A full assignment, handovers included. `partitions` are all that exist, in their order. */
export function assignSticky(
  members: readonly GroupMember[],
  partitions: readonly TopicPartition[],
): Map<string, TopicPartition[]> {
  const takers = members.map(({ memberId, topics }) => ({
    memberId,
    topics: new Set(topics),
    taken: new Map<string, TopicPartition>(),
  }))
  const owners = keepOwned(members, takers, partitions)
  giveRest(takers, partitions, owners)
  balance(takers)
  return new Map(takers.map(({ memberId, taken }) => [memberId, [...taken.values()]]))
}

function keepOwned(
  members: readonly GroupMember[],
  takers: readonly Taker[],
  partitions: readonly TopicPartition[],
): Set<string> {
  const exists = new Set(partitions.map(partitionKey))
  const claims = new Map<string, { generation: number; takers: Taker[] }>()
  for (const [index, member] of members.entries()) {
    const taker = takers[index] as Taker
    for (const owned of member.owned) {
      const key = partitionKey(owned)
      if (!exists.has(key) || !taker.topics.has(owned.topic)) continue
      const claim = claims.get(key)
      if (claim === undefined || member.generation > claim.generation) {
        claims.set(key, { generation: member.generation, takers: [taker] })
      } else if (member.generation === claim.generation && !claim.takers.includes(taker)) {
        claim.takers.push(taker)
      }
    }
  }
  const kept = new Set<string>()
  for (const topicPartition of partitions) {
    const key = partitionKey(topicPartition)
    const claim = claims.get(key)
    if (claim?.takers.length !== 1) continue
    claim.takers[0]?.taken.set(key, topicPartition)
    kept.add(key)
  }
  return kept
}

function giveRest(
  takers: readonly Taker[],
  partitions: readonly TopicPartition[],
  kept: ReadonlySet<string>,
): void {
  const rest = partitions
    .filter((topicPartition) => !kept.has(partitionKey(topicPartition)))
    .map((topicPartition) => ({
      topicPartition,
      candidates: takers.filter(({ topics }) => topics.has(topicPartition.topic)),
    }))
    .sort((a, b) => a.candidates.length - b.candidates.length)
  for (const { topicPartition, candidates } of rest) {
    leastOf(candidates)?.taken.set(partitionKey(topicPartition), topicPartition)
  }
}

function leastOf(takers: readonly Taker[]): Taker | undefined {
  let least: Taker | undefined
  for (const taker of takers) {
    if (least === undefined || taker.taken.size < least.taken.size) least = taker
  }
  return least
}

/** Each move makes the sum of the squares of all loads smaller, so this ends. */
function balance(takers: readonly Taker[]): void {
  const byLoad = [...takers]
  for (let moved = true; moved; ) {
    byLoad.sort((a, b) => b.taken.size - a.taken.size)
    moved = byLoad.some((giver) => moveOne(giver, takers))
  }
}

function moveOne(giver: Taker, takers: readonly Taker[]): boolean {
  const poorer = takers.filter(({ taken }) => taken.size <= giver.taken.size - 2)
  if (poorer.length === 0) return false
  // The last ones first: what was kept stands before what was given to it just now.
  for (const [key, topicPartition] of [...giver.taken].reverse()) {
    const taker = leastOf(poorer.filter(({ topics }) => topics.has(topicPartition.topic)))
    if (taker === undefined) continue
    assert(taker !== giver, 'a member would give a partition to itself')
    giver.taken.delete(key)
    taker.taken.set(key, topicPartition)
    return true
  }
  return false
}

/**
 * Takes out of the assignment what would go from one member straight to another: the old owner sees that it has
 * lost it, gives it up and joins again, and that next round assigns it. Every claim counts here, old ones too:
 * a member that missed a rebalance may still be working.
 */
export function withoutHandovers(
  members: readonly GroupMember[],
  assignment: ReadonlyMap<string, TopicPartition[]>,
): Map<string, TopicPartition[]> {
  const owners = new Map<string, Set<string>>()
  for (const { memberId, owned } of members) {
    for (const topicPartition of owned) {
      const key = partitionKey(topicPartition)
      const known = owners.get(key)
      if (known === undefined) owners.set(key, new Set([memberId]))
      else known.add(memberId)
    }
  }
  const mayTake = (memberId: string, topicPartition: TopicPartition) => {
    const known = owners.get(partitionKey(topicPartition))
    return known === undefined || known.has(memberId)
  }
  return new Map(
    [...assignment].map(([memberId, taken]) => [
      memberId,
      taken.filter((topicPartition) => mayTake(memberId, topicPartition)),
    ]),
  )
}
