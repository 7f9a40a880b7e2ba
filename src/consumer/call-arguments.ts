/**
 * What callers of a consumer hand in, looked at before anything begins: what is wrong there would show at the first record, or
 * never.
 */
import { OttlaError } from '../errors.ts'

/** @throws INVALID_ARGUMENT for what is not a function. `method`: that of the consumer. */
export function checkHandler(method: 'run' | 'runBatches', handler: unknown): void {
  if (typeof handler === 'function') return
  const argument = method === 'run' ? 'record' : 'batch'
  const message = `consumer.${method}: handler must be a function, such as async (${argument}) => …, not ${shown(handler)}`
  throw new OttlaError('INVALID_ARGUMENT', `${message}${hintFor(method, handler)}`, { path: 'handler' })
}

/** As kafkajs takes them. */
function hintFor(method: string, handler: unknown): string {
  if (typeof handler !== 'object' || handler === null) return ''
  if ('eachMessage' in handler) return `; ${wordsFor(method, 'run')} in place of { eachMessage }`
  if ('eachBatch' in handler) return `; ${wordsFor(method, 'runBatches')} in place of { eachBatch }`
  return ''
}

const wordsFor = (method: string, meant: string): string =>
  method === meant ? 'give the function itself' : `give the function itself to ${meant}()`

/**
 * @throws INVALID_ARGUMENT, with the place of what is wrong, for what is no list of partitions, or not of these topics: one that
 * is never read from can be neither paused nor behind
 */
export function checkPartitions(call: string, topics: readonly string[], partitions: unknown): void {
  if (!Array.isArray(partitions)) {
    throw wrong({ call, path: 'partitions' }, 'a list of { topic, partition }', partitions)
  }
  for (const [index, each] of partitions.entries()) {
    checkPartition({ call, path: `partitions[${index}]` }, topics, each)
  }
}

interface Place {
  /** The method. */
  readonly call: string
  readonly path: string
}

/** @throws INVALID_ARGUMENT */
export function checkPartition({ call, path }: Place, topics: readonly string[], given: unknown): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw wrong({ call, path }, '{ topic, partition }', given)
  }
  const { topic, partition } = given as { topic?: unknown; partition?: unknown }
  if (typeof topic !== 'string' || !topics.includes(topic)) {
    throw wrong({ call, path: `${path}.topic` }, `a topic of this consumer (${topics.join(', ')})`, topic)
  }
  if (Number.isSafeInteger(partition) && (partition as number) >= 0) return
  const advice = 'partitions' in given ? ' (one { topic, partition } for each, not a list of them)' : ''
  throw wrong({ call, path: `${path}.partition` }, `a whole number from 0${advice}`, partition)
}

function wrong({ call, path }: Place, expected: string, given: unknown): OttlaError {
  const but = given === undefined ? 'it is missing' : `not ${shown(given)}`
  return new OttlaError('INVALID_ARGUMENT', `consumer.${call}: ${path} must be ${expected}, ${but}`, { path })
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60))
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}
