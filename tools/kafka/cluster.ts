/**
 * A real Apache Kafka of one or three nodes on this machine, with its data in a temporary folder.
 *
 * Every JVM is known by its own pid. `stop` ends them and removes the folder; when this process dies in any other
 * way, the reaper beside this file does the same.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type TestCertificates, testCertificates } from './certificates.ts'
import { ensureJars, findJava, kafkaVersion } from './jars.ts'
import { freePorts } from './ports.ts'
import {
  type KafkaSecurity,
  type NodePorts,
  type Properties,
  scramArguments,
  serverProperties,
  usesTls,
} from './properties.ts'
import { runJava } from './tool.ts'

export interface KafkaOptions {
  /** Default 1. */
  readonly nodes?: 1 | 3
  /** Default: the environment's OTTLA_KAFKA_VERSION, else the newest known to work. */
  readonly version?: string
  /** Added to every node's server.properties; these win. */
  readonly properties?: Properties
  /** Default plain text. */
  readonly security?: KafkaSecurity
  /** Java's heap for each node. Default 512 for one node, 320 for three. */
  readonly heapMiB?: number
  /** How long a node may take until it serves. Default 90,000. */
  readonly startTimeoutMs?: number
}

export interface KafkaNode {
  readonly id: number
  readonly host: string
  readonly port: number
  /** The JVM's pid while it runs. */
  readonly pid: number | undefined
  /** What the JVM has printed since its last start. */
  log(): string
  /** Sends the signal (default SIGKILL) and resolves when the JVM is gone. SIGTERM is Kafka's orderly stop. */
  kill(signal?: NodeJS.Signals): Promise<void>
  /** Ends the node (SIGKILL) if it runs and starts it on the same ports and data; resolves when it serves. */
  restart(): Promise<void>
}

export interface Kafka {
  readonly version: string
  /** The folder of the jars. */
  readonly libs: string
  /** `host:port` of each node's client listener, with the security asked for. */
  readonly brokers: readonly string[]
  /** The same without security: for Kafka's own tools. Equals `brokers` when those are plain text. */
  readonly plaintextBrokers: readonly string[]
  readonly nodes: readonly KafkaNode[]
  /** With TLS: what a client needs. */
  readonly certificates: TestCertificates | undefined
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const serverClass = 'kafka.Kafka'
const startedLine = 'Kafka Server started'
const portTaken = /Address already in use|BindException/

/** Starts it and resolves when every node serves. Rejects with MissingToolError without Java or Maven. */
export async function startKafka(options: KafkaOptions = {}): Promise<Kafka> {
  const version = options.version ?? kafkaVersion()
  findJava()
  const libs = await ensureJars(version)
  for (let attempt = 1; ; attempt++) {
    const cluster = await Cluster.create(options, version, libs)
    try {
      await cluster.start()
      return cluster
    } catch (error) {
      await cluster.stop()
      // Between finding a free port and Kafka's bind another process may have taken it: choose anew.
      if (attempt === 3 || !portTaken.test(String(error))) throw error
    }
  }
}

class Cluster implements Kafka {
  readonly version: string
  readonly libs: string
  readonly nodes: readonly Node[]
  readonly brokers: readonly string[]
  readonly plaintextBrokers: readonly string[]
  readonly certificates: TestCertificates | undefined
  readonly #dir: string
  readonly #reaper: Reaper
  readonly #security: KafkaSecurity

  private constructor(options: KafkaOptions, version: string, libs: string, ports: readonly NodePorts[]) {
    const security = options.security ?? { protocol: 'PLAINTEXT' }
    this.version = version
    this.libs = libs
    this.#security = security
    this.#dir = mkdtempSync(join(tmpdir(), 'ottla-kafka-'))
    this.#reaper = new Reaper(this.#dir)
    this.certificates = usesTls(security) ? testCertificates() : undefined
    const heapMiB = options.heapMiB ?? (ports.length === 1 ? 512 : 320)
    this.nodes = ports.map((own, index) => {
      const id = index + 1
      const config = join(this.#dir, `node-${id}.properties`)
      const dataDir = join(this.#dir, `data-${id}`)
      const properties = options.properties ?? {}
      writeFileSync(
        config,
        serverProperties({ id, ports, dataDir, security, certificates: this.certificates, properties }),
      )
      const startTimeoutMs = options.startTimeoutMs ?? 90_000
      return new Node(
        { id, port: own.client, dir: this.#dir, config, libs, heapMiB, startTimeoutMs },
        this.#reaper,
      )
    })
    this.brokers = ports.map(({ client }) => `127.0.0.1:${client}`)
    this.plaintextBrokers =
      security.protocol === 'PLAINTEXT' ? this.brokers : ports.map(({ internal }) => `127.0.0.1:${internal}`)
  }

  static async create(options: KafkaOptions, version: string, libs: string): Promise<Cluster> {
    const count = options.nodes ?? 1
    const free = await freePorts(count * 3)
    const ports = Array.from({ length: count }, (_, index) => ({
      client: free[index * 3]!,
      internal: free[index * 3 + 1]!,
      controller: free[index * 3 + 2]!,
    }))
    return new Cluster(options, version, libs, ports)
  }

  async start(): Promise<void> {
    // A leading dash, which one random id in 64 has, would be taken for a flag; Kafka's own ids never have one.
    const clusterId = `O${randomBytes(16).toString('base64url').slice(1)}`
    const scram = scramArguments(this.#security)
    await settleAll(this.nodes.map((node) => node.format(clusterId, scram)))
    await settleAll(this.nodes.map((node) => node.start()))
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()))
    rmSync(this.#dir, { recursive: true, force: true, maxRetries: 5 })
    this.#reaper.dismiss()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

interface NodeConfig {
  readonly id: number
  readonly port: number
  readonly dir: string
  readonly config: string
  readonly libs: string
  readonly heapMiB: number
  readonly startTimeoutMs: number
}

class Node implements KafkaNode {
  readonly id: number
  readonly host = '127.0.0.1'
  readonly port: number
  readonly #config: NodeConfig
  readonly #reaper: Reaper
  readonly #logFile: string
  #child: ChildProcess | undefined

  constructor(config: NodeConfig, reaper: Reaper) {
    this.id = config.id
    this.port = config.port
    this.#config = config
    this.#reaper = reaper
    this.#logFile = join(config.dir, `node-${config.id}.log`)
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  log(): string {
    return readFileSync(this.#logFile, 'utf8')
  }

  async format(clusterId: string, scram: readonly string[]): Promise<void> {
    const args = ['format', '-t', clusterId, '-c', this.#config.config, ...scram]
    const { code, stdout, stderr } = await runJava('kafka.tools.StorageTool', args, {
      libs: this.#config.libs,
    })
    if (code !== 0)
      throw new Error(`Kafka's storage of node ${this.id} could not be formatted:\n${stdout}${stderr}`)
  }

  async start(): Promise<void> {
    const { libs, config, heapMiB, startTimeoutMs } = this.#config
    const log = openSync(this.#logFile, 'w')
    const heap = [`-Xms${Math.min(heapMiB, 128)}m`, `-Xmx${heapMiB}m`]
    const args = [
      ...heap,
      '-XX:+UseG1GC',
      '-Djava.awt.headless=true',
      '-cp',
      join(libs, '*'),
      serverClass,
      config,
    ]
    const child = spawn(findJava(), args, { cwd: this.#config.dir, stdio: ['ignore', log, log] })
    closeSync(log)
    this.#child = child
    child.once('exit', () => {
      this.#reaper.gone(child.pid)
      if (this.#child === child) this.#child = undefined
    })
    this.#reaper.add(child.pid)
    const deadline = performance.now() + startTimeoutMs
    while (!this.log().includes(startedLine)) {
      if (this.#child !== child)
        throw new Error(`Kafka's node ${this.id} ended while starting:\n${this.#tail()}`)
      if (performance.now() > deadline) {
        throw new Error(`Kafka's node ${this.id} did not serve within ${startTimeoutMs} ms:\n${this.#tail()}`)
      }
      await sleep(50)
    }
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child
    if (!child) return
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
  }

  async restart(): Promise<void> {
    await this.kill()
    await this.start()
  }

  #tail(): string {
    return this.log().split('\n').slice(-40).join('\n')
  }
}

/** Waits for all of them even when one fails, so that nothing is still starting when the caller cleans up. */
async function settleAll(work: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) {
    if (result.status === 'rejected') throw result.reason
  }
}

/** Our end of the pipe to `reaper.sh`, which outlives us. */
class Reaper {
  readonly #child: ChildProcess

  constructor(dir: string) {
    const script = fileURLToPath(new URL('./reaper.sh', import.meta.url))
    // Its own process group: an interrupt typed at the terminal must not end it before its work.
    this.#child = spawn('sh', [script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
    this.#child.unref()
    ;(this.#child.stdin as NodeJS.WritableStream & { unref?(): void }).unref?.()
    this.#write(`dir ${dir}`)
  }

  add(pid: number | undefined): void {
    if (pid !== undefined) this.#write(`add ${pid}`)
  }

  gone(pid: number | undefined): void {
    if (pid !== undefined) this.#write(`gone ${pid}`)
  }

  /** Nothing is left to reap: it ends by itself. */
  dismiss(): void {
    this.#child.stdin?.end()
  }

  #write(line: string): void {
    const pipe = this.#child.stdin
    if (pipe?.writable) pipe.write(`${line}\n`)
  }
}
