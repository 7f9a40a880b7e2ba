/** Runs a class of Kafka's jars to its end: Kafka's own console tools, for tests that want a client not ours. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { ensureJars, findJava } from './jars.ts'

export interface ToolResult {
  readonly stdout: string
  readonly stderr: string
  readonly code: number | null
}

export interface ToolOptions {
  /** Written to the tool's stdin, which is then closed. */
  readonly input?: string | Uint8Array
  /** The folder of the jars. Default: OTTLA_KAFKA_LIBS, else fetched for the version in use. */
  readonly libs?: string
  /** The tool is killed after this time. Default 60,000. */
  readonly timeoutMs?: number
}

/** The tools by their short names; `runKafkaTool` takes these or any class name. */
export const kafkaTools = {
  ConsoleProducer: 'org.apache.kafka.tools.ConsoleProducer',
  ConsoleConsumer: 'org.apache.kafka.tools.consumer.ConsoleConsumer',
  TopicCommand: 'org.apache.kafka.tools.TopicCommand',
  ConsumerGroupCommand: 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  ConfigCommand: 'kafka.admin.ConfigCommand',
  DumpLogSegments: 'kafka.tools.DumpLogSegments',
  GetOffsetShell: 'org.apache.kafka.tools.GetOffsetShell',
  StorageTool: 'kafka.tools.StorageTool',
} as const

/** Where a class is not under that name in this version, it may be under one of these. */
const otherNames: Readonly<Record<string, readonly string[]>> = {
  [kafkaTools.ConsoleProducer]: ['kafka.tools.ConsoleProducer'],
  [kafkaTools.DumpLogSegments]: ['org.apache.kafka.tools.DumpLogSegments'],
  [kafkaTools.ConfigCommand]: ['org.apache.kafka.tools.ConfigCommand'],
}

/** Runs a tool by its short or its class name. */
export async function runKafkaTool(
  name: string,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<ToolResult> {
  const className = Object.hasOwn(kafkaTools, name) ? kafkaTools[name as keyof typeof kafkaTools] : name
  const libs = options.libs ?? process.env['OTTLA_KAFKA_LIBS'] ?? (await ensureJars())
  for (const candidate of [className, ...(otherNames[className] ?? [])]) {
    const result = await runJava(candidate, args, { ...options, libs })
    if (!result.stderr.includes(`Could not find or load main class ${candidate}`)) return result
  }
  throw new Error(`no class ${className} in ${libs}`)
}

export function runJava(
  className: string,
  args: readonly string[],
  { libs, input, timeoutMs = 60_000 }: ToolOptions & { readonly libs: string },
): Promise<ToolResult> {
  const quick = ['-Xmx256m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xshare:auto']
  const quiet = '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn'
  const child = spawn(findJava(), [...quick, quiet, '-cp', join(libs, '*'), className, ...args])
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  // A tool that ends without reading its input breaks the pipe; its exit code says what happened.
  child.stdin.on('error', () => child.stdin.destroy())
  child.stdin.end(input)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString(), code })
    })
  })
}
