/**
 * One run of the fuzzer: for each number a damaged frame, which must decode or fail with an error of ours, soon and
 * without taking memory out of proportion.
 */
import { getHeapStatistics } from 'node:v8'
import { OttlaError } from '../../src/errors.ts'
import { type Random, seededRandom } from '../../src/util/random.ts'
import { makeCorpus, type Seed } from './corpus.ts'
import { decode, MAX_DECOMPRESSED_BYTES } from './decoders.ts'
import { mutate } from './mutate.ts'

/** A decoded struct is that many times as large as its bytes at most, and this comes on top. */
const HEAP_PER_BYTE = 2048
const HEAP_ALLOWANCE = 4 * 1024 * 1024 + 4 * MAX_DECOMPRESSED_BYTES
const MEASURE_EVERY = 64
const SLOW_MS = 100

export interface FuzzReport {
  frames: number
  /** Frames that decoded although they were damaged. */
  decoded: number
  readonly codes: Map<string, number>
  slowestMs: number
  /** The most that one measured frame added to the heap and outside of it. */
  largestBytes: number
}

export interface FuzzOptions {
  readonly seed: number
  /** The number of the first frame. */
  readonly from?: number
  readonly until: (frames: number) => boolean
  /** Called before each frame, so that whoever watches can name one that hangs. */
  readonly onFrame?: (number: number) => void
}

export class FuzzFailure extends Error {
  constructor(
    what: string,
    seed: number,
    number: number,
    details: { input: Buffer; kind: string; cause?: unknown },
  ) {
    const input = details.input.toString('base64')
    super(
      `${what} (${details.kind})\nagain: OTTLA_SEED=${seed} npm run test:fuzz -- --frame ${number}\ninput: ${input}`,
      { cause: details.cause },
    )
  }
}

export function fuzz({ seed, from = 0, until, onFrame }: FuzzOptions): FuzzReport {
  const corpus = makeCorpus()
  const report: FuzzReport = { frames: 0, decoded: 0, codes: new Map(), slowestMs: 0, largestBytes: 0 }
  for (let number = from; !until(report.frames); number++) {
    onFrame?.(number)
    const random = seededRandom(Math.imul(number, 0x9e37_79b1) ^ seed)
    const origin = choose(corpus, random)
    const other = corpus[random.below(corpus.length)] as Seed
    const input = mutate(origin.bytes, random, other.bytes)
    const checkCrc = random.below(8) === 0
    const run = () => outcomeOf(origin, input, checkCrc)
    const fail = (what: string, cause?: unknown) =>
      new FuzzFailure(what, seed, number, { input, kind: describe(origin), cause })

    const measured = number % MEASURE_EVERY === 0
    const before = measured ? heldBytes() : 0
    const started = performance.now()
    const outcome = run()
    let took = performance.now() - started
    if (measured) {
      const added = heldBytes() - before
      report.largestBytes = Math.max(report.largestBytes, added)
      if (added > HEAP_ALLOWANCE + HEAP_PER_BYTE * input.length) {
        throw fail(`${added} bytes were taken for ${input.length} bytes of input`)
      }
    }
    if (typeof outcome !== 'string') throw fail(`not an error of ours: ${outcome.stack ?? outcome}`, outcome)
    // A machine that does something else makes any frame slow: only one that is slow each time counts.
    for (let retry = 0; took > SLOW_MS && retry < 5; retry++) took = Math.min(took, timed(run))
    if (took > SLOW_MS) throw fail(`took ${took.toFixed(0)} ms for ${input.length} bytes`)
    report.slowestMs = Math.max(report.slowestMs, took)
    report.frames++
    if (outcome === 'decoded') report.decoded++
    else report.codes.set(outcome, (report.codes.get(outcome) ?? 0) + 1)
  }
  return report
}

/** Most of the time is for the decoders in JavaScript: a call into zlib takes as long as fifty of the others. */
function choose(corpus: readonly Seed[], random: Random): Seed {
  for (;;) {
    const seed = corpus[random.below(corpus.length)] as Seed
    const isSlow = seed.kind === 'packed' && (seed.codec === 'gzip' || seed.codec === 'zstd')
    if (!isSlow || random.below(10) === 0) return seed
  }
}

/** The code of the error, `decoded` without one, and an error that must not be as it is. */
function outcomeOf(seed: Seed, input: Buffer, checkCrc: boolean): string | Error {
  try {
    decode(seed, input, checkCrc)
    return 'decoded'
  } catch (error) {
    if (error instanceof OttlaError && error.code !== 'ASSERTION_FAILED') return error.code
    return error instanceof Error ? error : new Error(String(error))
  }
}

function timed(run: () => unknown): number {
  const started = performance.now()
  run()
  return performance.now() - started
}

function heldBytes(): number {
  const { used_heap_size: heap, external_memory: external, malloced_memory: malloced } = getHeapStatistics()
  return heap + external + malloced
}

const describe = (seed: Seed) =>
  'api' in seed ? `${seed.api.name} ${seed.kind} ${seed.version}` : 'codec' in seed ? seed.codec : seed.kind
