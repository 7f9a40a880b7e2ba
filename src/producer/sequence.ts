/**
 * From a record's rank to its sequence number. A rank counts the records of one stream (a topic-partition) from
 * its beginning and is never given twice; a mapping says which rank has sequence 0 under which producer id and
 * epoch. So a sequence is a pure function of the rank, whatever is sent again in whatever pieces.
 *
 * Sequences run from 0 to 2^31 - 1 and then from 0 again (KIP-98).
 */
export interface SequenceMapping {
  readonly producerId: number
  /** Epochs are per partition: a broker takes any higher one that begins with sequence 0. */
  readonly producerEpoch: number
  /** The rank with sequence 0. */
  readonly baseRank: number
}

const SEQUENCES = 2 ** 31

/** The last epoch that there is: after it only a new producer id helps. */
export const LAST_EPOCH = 0x7fff

export const sequenceOf = (mapping: SequenceMapping, rank: number): number =>
  (rank - mapping.baseRank) % SEQUENCES

/** The rank that follows the record of `lastSequence`: of all ranks with that sequence the one nearest to `near`. */
export function rankAfter(mapping: SequenceMapping, lastSequence: number, near: number): number {
  const distance = (lastSequence + 1 - sequenceOf(mapping, near)) % SEQUENCES
  const positive = distance < 0 ? distance + SEQUENCES : distance
  return near + (positive > SEQUENCES / 2 ? positive - SEQUENCES : positive)
}
