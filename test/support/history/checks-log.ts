/** H1 to H4: what the log must hold, given what producers were told and what the group was given. */
import type { Findings } from './findings.ts'
import { eventsOf, type Model, partitionKey, type SentRecord } from './model.ts'

/** H1, no loss: what was acknowledged is in the log, and what is in the log was handled by every group. */
export function checkLoss(model: Model, findings: Findings, groups: readonly string[]): void {
  const present = new Set<string>()
  for (const log of model.logs.values()) for (const { id } of log.records) present.add(id)
  for (const record of model.sent.values()) {
    const ack = record.settlements.find(({ outcome }) => outcome === 'acked')
    if (ack !== undefined && !present.has(record.id)) {
      findings.add('H1', 'lost', () => `${record.id} was acknowledged ${ack.detail} and is not in the log`)
    }
  }
  for (const group of groups) checkHandled(model, findings, group)
}

function checkHandled(model: Model, findings: Findings, group: string): void {
  const work = model.processed.get(group)
  const topics = topicsOf(model, group)
  for (const [where, log] of model.logs) {
    if (topics.size > 0 && !topics.has(log.topic)) continue
    const handled = new Set(work?.get(where)?.map(({ offset }) => offset))
    for (const { offset, id } of log.records) {
      if (handled.has(offset)) continue
      findings.add('H1', 'unhandled', () => `${id} at ${where}@${offset} was never handled by ${group}`)
    }
  }
}

function topicsOf(model: Model, group: string): Set<string> {
  const topics = new Set<string>()
  for (const event of eventsOf(model, 'assign')) {
    if (event.group === group) for (const [topic] of event.partitions) topics.add(topic)
  }
  return topics
}

/** H2, once: one record, one place in the log; none for what was refused, none that nobody sent. */
export function checkOnce(model: Model, findings: Findings, allowedDuplicates: number): number {
  const places = new Map<string, string>()
  const repeats: [id: string, first: string, second: string][] = []
  for (const [where, log] of model.logs) {
    for (const { id, offset } of log.records) {
      const place = `${where}@${offset}`
      const first = places.get(id)
      if (first === undefined) places.set(id, place)
      else repeats.push([id, first, place])
      const record = model.sent.get(id)
      if (record === undefined) {
        findings.add('H2', 'phantom', () => `${place} holds ${id}, which nobody sent`)
      } else if (
        record.settlements.length > 0 &&
        record.settlements.every(({ outcome }) => outcome === 'failed')
      ) {
        const { detail } = record.settlements[0]!
        findings.add('H2', 'refused', () => `${id} was refused (${detail}) and is at ${place} all the same`)
      }
    }
  }
  if (repeats.length > allowedDuplicates) {
    for (const [id, first, second] of repeats) {
      findings.add('H2', 'duplicated', () => `${id} is at ${first} and again at ${second}`)
    }
  }
  return repeats.length
}

/** H3, order: per key in the log as it was sent, and in the handling as it stands in the log. */
export function checkOrder(
  model: Model,
  findings: Findings,
  rules: { order: 'partition' | 'key' | 'none'; keysStay: boolean },
): void {
  const homes = new Map<string, string>()
  for (const [where, log] of model.logs) {
    const seen = new Set<string>()
    const last = new Map<string, SentRecord>()
    for (const { id, offset } of log.records) {
      const record = model.sent.get(id)
      if (record === undefined || record.key === null || seen.has(id)) continue
      seen.add(id)
      const line = lineOf(record)
      const before = last.get(line)
      if (before !== undefined && before.seq >= record.seq) {
        const tell = () =>
          `${where}@${offset}: ${id} (${record.seq} of its key) stands after ${before.id} (${before.seq})`
        findings.add('H3', 'out-of-order', tell)
      } else last.set(line, record)
      const home = homes.get(line)
      if (home === undefined) homes.set(line, where)
      else if (home !== where && rules.keysStay) {
        findings.add('H3', 'key-moved', () => `key ${record.key} is in ${home} and, with ${id}, in ${where}`)
      }
    }
  }
  if (rules.order !== 'none') checkHandlingOrder(model, findings, rules.order)
}

/** Order is promised per writer and key: the writer is the part of the id before its number. */
const lineOf = ({ id, topic, key }: SentRecord) => `${topic}\n${id.slice(0, id.lastIndexOf('.'))}\n${key}`

function checkHandlingOrder(model: Model, findings: Findings, order: 'partition' | 'key'): void {
  const tenures = tenuresOf(model)
  for (const [group, work] of model.processed) {
    for (const [where, list] of work) {
      const last = new Map<string, number>()
      for (const { offset, id, proc, generation, t } of list) {
        const key = order === 'key' ? model.sent.get(id)?.key : null
        const tenure = tenures.get(`${group}\n${proc}\n${where}`)?.filter((since) => since <= t).length ?? 0
        const line = `${proc}\n${generation}\n${tenure}\n${key ?? ''}`
        const before = last.get(line)
        if (before !== undefined && before >= offset) {
          const tell = () => `${proc} handled ${where}@${offset} after ${before} in generation ${generation}`
          findings.add('H3', 'handled-out-of-order', tell)
        }
        last.set(line, offset)
      }
    }
  }
}

/**
 * When each member came to own each partition anew. The number of a generation is not enough: a coordinator that dies
 * may take the last one with it, and the next one gives the same number again, to partitions that were lost between.
 */
function tenuresOf(model: Model): Map<string, number[]> {
  const tenures = new Map<string, number[]>()
  const owned = new Set<string>()
  for (const event of model.events) {
    if (event.op !== 'assign' && event.op !== 'revoke') continue
    for (const [topic, partition] of event.partitions) {
      const line = `${event.group}\n${event.proc}\n${partitionKey(topic, partition)}`
      // Kept by the cooperative protocol, a partition goes on where it was: that is no new tenure.
      if (event.op === 'revoke') owned.delete(line)
      else if (!owned.has(line)) {
        owned.add(line)
        tenures.set(line, [...(tenures.get(line) ?? []), event.t])
      }
    }
  }
  return tenures
}

/** H4, one value: every reader, acknowledgement and handler saw the same record at the same offset. */
export function checkValues(model: Model, findings: Findings): void {
  const seen = new Map<string, { id: string; digest: number | undefined; who: string }>()
  const observe = (place: string, id: string, digest: number | undefined, who: string) => {
    const before = seen.get(place)
    if (before === undefined) {
      seen.set(place, { id, digest, who })
    } else if (before.id !== id || (before.digest ?? digest) !== (digest ?? before.digest)) {
      findings.add('H4', 'value-differs', () => `${place}: ${before.who} saw ${before.id}, ${who} saw ${id}`)
    }
  }
  for (const event of model.events) {
    if (event.op === 'log' || event.op === 'process') {
      const who = event.op === 'log' ? event.reader : event.proc
      for (const [offset, id, digest] of event.records) {
        observe(`${partitionKey(event.topic, event.partition)}@${offset}`, id, digest, who)
        const sent = model.sent.get(id)
        if (sent !== undefined && sent.digest !== digest) {
          findings.add(
            'H4',
            'value-changed',
            () => `${who} read ${id} at offset ${offset} with other bytes than were sent`,
          )
        }
      }
    } else if (event.op === 'ack') {
      for (const [id, partition, offset] of event.records) {
        // Kafka's acks 0 tells no offset.
        if (offset < 0) continue
        observe(
          `${partitionKey(event.topic, partition)}@${offset}`,
          id,
          model.sent.get(id)?.digest,
          'the producer',
        )
      }
    }
  }
  checkReaders(model, findings)
}

/** All readers of a partition must have found the same offsets. */
function checkReaders(model: Model, findings: Findings): void {
  const readers = new Map<string, Map<string, Set<number>>>()
  for (const event of eventsOf(model, 'log')) {
    const where = partitionKey(event.topic, event.partition)
    const byReader = readers.get(where) ?? new Map<string, Set<number>>()
    readers.set(where, byReader)
    const offsets = byReader.get(event.reader) ?? new Set<number>()
    byReader.set(event.reader, offsets)
    for (const [offset] of event.records) offsets.add(offset)
  }
  for (const [where, byReader] of readers) {
    const all = new Set([...byReader.values()].flatMap((offsets) => [...offsets]))
    for (const [reader, offsets] of byReader) {
      for (const offset of all) {
        if (offsets.has(offset)) continue
        findings.add(
          'H4',
          'reader-missed',
          () => `${reader} did not find ${where}@${offset}, which others found`,
        )
      }
    }
  }
}
