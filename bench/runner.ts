/** Starts a driver as a process of its own and takes its report. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Report } from './harness.ts'
import type { Client } from './works.ts'

export const here = dirname(fileURLToPath(import.meta.url))
const runTimeoutMs = 240_000

const nativeBinary = (name: string) => join(here, 'native', 'build', name)

/** The command of a client's driver, or why there is none. */
export function driverOf(client: Client): { command: string[] } | { missing: string } {
  const script = { ottla: 'ottla.ts', platformatic: 'platformatic.mjs', kafkajs: 'kafkajs.mjs' } as const
  if (client in script) {
    return { command: [process.execPath, join(here, 'drivers', script[client as keyof typeof script])] }
  }
  const binary = nativeBinary(client)
  return existsSync(binary)
    ? { command: [binary] }
    : { missing: 'not measured (npm run bench -- --native builds it)' }
}

export type Orders = Readonly<Record<string, string | number | undefined>>

export interface Running {
  readonly child: ChildProcess
  readonly report: Promise<Report>
}

export function startDriver(command: readonly string[], orders: Orders): Running {
  const args = Object.entries(orders).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  )
  const [program = '', ...first] = command
  const child = spawn(program, [...first, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
  return { child, report: reportOf(child) }
}

async function reportOf(child: ChildProcess): Promise<Report> {
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk
  })
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk).slice(-4_000)
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), runTimeoutMs)
  const [code, signal] = await once(child, 'close')
  clearTimeout(timer)
  const line = stdout.split('\n').find((text) => text.startsWith('RESULT '))
  if (!line || code !== 0) throw new Error(`ended with ${signal ?? code}: ${gist(stderr)}`)
  return JSON.parse(line.slice('RESULT '.length)) as Report
}

/** The line of a stack trace that says what went wrong. */
function gist(stderr: string): string {
  const lines = stderr.trim().split('\n')
  return lines.find((line) => /^\w*(Error|error)\b/.test(line)) ?? lines.at(-1) ?? 'no report'
}

export async function runDriver(command: readonly string[], orders: Orders): Promise<Report> {
  const { child, report } = startDriver(command, orders)
  child.stdin?.end()
  return report
}
