/** The one error for data that grows past its bound when decompressed. */
import { OttlaError } from '../errors.ts'

export const tooLarge = (codec: string, maxBytes: number) =>
  new OttlaError(
    'DECOMPRESSED_TOO_LARGE',
    `a batch compressed with ${codec} is larger than the ${maxBytes} bytes allowed`,
  )
