/** Bytes to lines, as bytes: what is not UTF-8 stays as it came. A slow consumer slows the source. */

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

export class LineTooLongError extends Error {}

/** The lines without their ends; a last line without one counts too. `maxBytes` bounds what a line may hold. */
export async function* linesOf(
  source: AsyncIterable<Uint8Array>,
  { maxBytes }: { maxBytes: number },
): AsyncGenerator<Buffer> {
  let parts: Buffer[] = []
  let partBytes = 0
  for await (const bytes of source) {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    let start = 0
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      yield withoutReturn(
        parts.length === 0 ? chunk.subarray(start, end) : join(parts, chunk.subarray(start, end)),
      )
      parts = []
      partBytes = 0
      start = end + 1
    }
    if (start === chunk.length) continue
    parts.push(chunk.subarray(start))
    partBytes += chunk.length - start
    if (partBytes > maxBytes) throw new LineTooLongError(`A line is longer than ${maxBytes} bytes.`)
  }
  if (parts.length > 0) yield withoutReturn(join(parts))
}

const join = (parts: readonly Buffer[], last?: Buffer) => Buffer.concat(last ? [...parts, last] : parts)

const withoutReturn = (line: Buffer) => (line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line)
