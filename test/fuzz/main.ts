/**
 * `npm run test:fuzz [-- --seconds 30] [-- --frames N] [-- --frame N]`: damaged frames into every decoder.
 *
 * OTTLA_SEED fixes the seed; with it, `--frame` runs one frame again. The fuzzer runs in a thread, so that a frame
 * on which a decoder hangs can be named.
 */
import { parseArgs } from 'node:util'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { type FuzzReport, fuzz } from './fuzzer.ts'

const HUNG_MS = 20_000

interface Job {
  readonly seed: number
  readonly from: number
  readonly frames: number
  readonly seconds: number
  readonly progress: Int32Array
}

function watch(): void {
  const { values } = parseArgs({
    options: { seconds: { type: 'string' }, frames: { type: 'string' }, frame: { type: 'string' } },
  })
  const seed = Number(process.env['OTTLA_SEED'] ?? Math.floor(Math.random() * 2 ** 32)) | 0
  const one = values.frame !== undefined
  const frames = one ? 1 : Number(values.frames ?? Number.POSITIVE_INFINITY)
  const seconds = Number(values.seconds ?? (Number.isFinite(frames) ? Number.POSITIVE_INFINITY : 30))
  const progress = new Int32Array(new SharedArrayBuffer(4))
  const job: Job = { seed, from: Number(values.frame ?? 0), frames, seconds, progress }
  process.stdout.write(`fuzzing the decoders, seed ${seed}\n`)
  const worker = new Worker(new URL(import.meta.url), { workerData: job })
  const started = performance.now()

  let last = -1
  const guard = setInterval(() => {
    const now = Atomics.load(progress, 0)
    if (now === last) {
      process.stderr.write(
        `frame ${now} hangs; again: OTTLA_SEED=${seed} npm run test:fuzz -- --frame ${now}\n`,
      )
      process.exit(1)
    }
    last = now
  }, HUNG_MS)
  worker.once('message', (report: FuzzReport) => print(report, performance.now() - started))
  worker.once('error', (error) => {
    process.stderr.write(`${error.message}\n`)
    process.exitCode = 1
  })
  worker.once('exit', () => clearInterval(guard))
}

function print(report: FuzzReport, tookMs: number): void {
  const share = (count: number) => `${((count / report.frames) * 100).toFixed(1)} %`
  const lines = [
    `${report.frames} frames in ${(tookMs / 1000).toFixed(0)} s, nothing but results and errors of ours`,
    `decoded all the same: ${share(report.decoded)}`,
    ...[...report.codes].sort((a, b) => b[1] - a[1]).map(([code, count]) => `${code}: ${share(count)}`),
    `slowest frame ${report.slowestMs.toFixed(1)} ms; most memory for one frame ${(report.largestBytes / 1024).toFixed(0)} KiB`,
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

async function work({ seed, from, frames, seconds, progress }: Job): Promise<void> {
  const { parentPort } = await import('node:worker_threads')
  const end = performance.now() + seconds * 1000
  const report = fuzz({
    seed,
    from,
    until: (done) => done >= frames || ((done & 255) === 0 && performance.now() > end),
    onFrame: (number) => Atomics.store(progress, 0, number),
  })
  parentPort?.postMessage(report)
}

if (isMainThread) watch()
else await work(workerData as Job)
