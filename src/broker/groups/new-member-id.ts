/** The id of a new member: its static name or its client's id, and a random UUID behind it, as Kafka makes them. */
import type { Random } from '../../util/random.ts'

export function newMemberId(
  { groupInstanceId, clientId }: { readonly groupInstanceId: string | null; readonly clientId: string },
  random: Random,
): string {
  return `${groupInstanceId ?? clientId}-${randomUuid(random)}`
}

function randomUuid(random: Random): string {
  const bytes = random.bytes(16)
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return [
    [0, 8],
    [8, 12],
    [12, 16],
    [16, 20],
    [20, 32],
  ]
    .map(([from, to]) => hex.slice(from, to))
    .join('-')
}
