/** Runs the command as a process, as a shell does. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface CliOptions {
  readonly input?: string | Uint8Array
  /** Besides what the process needs; no KAFKA_ variable of the machine gets through. */
  readonly env?: Readonly<Record<string, string>>
}

export type CliProcess = ChildProcessByStdio<Writable, Readable, Readable>

/** What runs on does not hold up the others: it is killed, and the test sees that there is no exit code. */
const LIMIT_MS = 60_000

const running = new Set<CliProcess>()
// A test that failed half-way has left its process behind, and nobody would end for it.
after(() => {
  for (const child of running) child.kill('SIGKILL')
})

/** Starts it and leaves it running: for what ends by a signal. */
export function startCli(args: readonly string[], env: CliOptions['env'] = {}): CliProcess {
  const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('KAFKA_'))
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args], {
    env: { ...Object.fromEntries(clean), ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  })
  running.add(child)
  child.once('close', () => running.delete(child))
  return child
}

/** Runs it to its end. */
export async function runCli(
  args: readonly string[],
  { input = '', env = {} }: CliOptions = {},
): Promise<Ended> {
  const child = startCli(args, env)
  // A command that ends without reading its input breaks the pipe; its exit code says what happened.
  child.stdin.on('error', () => child.stdin.destroy())
  child.stdin.end(input)
  const [stdout, stderr, [code]] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr),
    once(child, 'close'),
  ])
  return { code, stdout, stderr }
}

export async function textOf(stream: Readable): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

/** Resolves when the process has printed this. */
export function printed(child: CliProcess, pattern: RegExp): Promise<RegExpExecArray> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk
      const match = pattern.exec(text)
      if (match !== null) resolve(match)
    })
    child.once('close', (code) =>
      reject(new Error(`it ended with ${code} and printed ${JSON.stringify(text)}`)),
    )
  })
}
