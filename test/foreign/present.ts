/** Programs that may or may not be on this machine, run to their end. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Why a test is skipped, or false when the program answers: what `test`'s `skip` option takes. */
export function missing(program: string, args: readonly string[], advice: string): string | false {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0 ? false : `no ${program} here: ${advice}`
}

/** Runs a program; `input` goes to its stdin. It is ended after `timeoutMs`, by default 60,000. */
export async function runProgram(
  program: string,
  args: readonly string[],
  { input = '', timeoutMs = 60_000 }: { readonly input?: string; readonly timeoutMs?: number } = {},
): Promise<Finished> {
  const child = spawn(program, args, { timeout: timeoutMs, killSignal: 'SIGKILL' })
  // A program that ends without reading its input breaks the pipe; its exit code says what happened.
  child.stdin.on('error', () => child.stdin.destroy())
  child.stdin.end(input)
  const [stdout, stderr, [code]] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr),
    once(child, 'close'),
  ])
  return { code, stdout, stderr }
}

async function textOf(stream: Readable): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
