/** What became of each record of one `send`, whether it resolved or rejected. */
import { OttlaError } from '../../../src/errors.ts'
import { PartialDeliveryError, type Receipt } from '../../../src/index.ts'

export type Outcome =
  | { readonly status: 'delivered'; readonly partition: number; readonly offset: number }
  | { readonly status: 'failed' | 'unknown'; readonly code: string }

/** The codes that say: it may be in the log. */
const doubtful: ReadonlySet<string> = new Set(['DELIVERY_UNKNOWN', 'UNPROVEN_DELIVERY'])

/** Calls `send`, waits, and gives the outcome of each record by its index. */
export async function outcomesOf(
  send: () => Promise<readonly Receipt[]>,
): Promise<(index: number) => Outcome> {
  try {
    const receipts = await send()
    return (index) => ({ status: 'delivered', ...(receipts[index] as Receipt) })
  } catch (error) {
    if (error instanceof PartialDeliveryError) {
      return (index) => {
        const result = error.results[index]
        if (result === undefined) throw new Error('there are fewer results than records', { cause: error })
        return result.status === 'delivered' ? result : failureOf(result.error)
      }
    }
    if (!(error instanceof OttlaError)) throw error
    return () => failureOf(error)
  }
}

const failureOf = ({ code }: OttlaError): Outcome => ({
  status: doubtful.has(code) ? 'unknown' : 'failed',
  code,
})
