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

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60))
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}
