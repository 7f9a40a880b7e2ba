/** How captured frames are kept: one file per conversation, the frames in base64 with their size in front. */

export interface GoldenFile {
  /** What was captured, and with which version of Kafka. */
  readonly about: string
  readonly kafka: string
  /** Each as `direction apiKey version base64`, in the order in which they went over the wire. */
  readonly frames: readonly string[]
}

export interface GoldenFrame {
  readonly direction: 'request' | 'response'
  readonly apiKey: number
  readonly version: number
  /** The whole frame, its size in front. */
  readonly bytes: Buffer
}

export const goldenFrames = (file: GoldenFile): GoldenFrame[] =>
  file.frames.map((line) => {
    const [direction, apiKey, version, base64] = line.split(' ') as [string, string, string, string]
    return {
      direction: direction === '>' ? 'request' : 'response',
      apiKey: Number(apiKey),
      version: Number(version),
      bytes: Buffer.from(base64, 'base64'),
    }
  })

export const goldenLine = ({ direction, apiKey, version, bytes }: GoldenFrame): string =>
  `${direction === 'request' ? '>' : '<'} ${apiKey} ${version} ${bytes.toString('base64')}`
