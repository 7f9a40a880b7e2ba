/**
 * `npm run test:kafka [-- --conformance-only] [-- --only GLOB] [-- --brokers host:port]`: the tests that need a real
 * Apache Kafka, one file after the other.
 *
 * Starts one node of the version in OTTLA_KAFKA_VERSION (default: see tools/kafka) and tells the tests in
 * OTTLA_KAFKA_BROKERS; the jars, with Kafka's tools and its message definitions, are in OTTLA_KAFKA_LIBS. A test that
 * needs three nodes, security or control over a node starts its own with `startKafka` of tools/kafka/index.ts, which
 * takes the same version.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { ensureJars, kafkaVersion, MissingToolError, startKafka } from './kafka/index.ts'

/** No test of the suite takes this long unless it hangs. */
const testTimeoutMs = 300_000

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      'conformance-only': { type: 'boolean', default: false },
      only: { type: 'string' },
      brokers: { type: 'string' },
    },
  })
  const pattern =
    values.only ?? (values['conformance-only'] ? 'test/conformance/*.kafka.ts' : 'test/**/*.kafka.ts')
  const files = globSync(pattern).sort()
  // `node --test` counts an empty list as a success.
  if (files.length === 0) throw new Error(`no test file matches ${pattern}`)
  const version = kafkaVersion()
  const libs = await ensureJars(version)
  await using kafka = values.brokers ? undefined : await startKafka({ version })
  const brokers = values.brokers ?? kafka?.brokers.join(',')
  process.stdout.write(`Apache Kafka ${version} on ${brokers}: ${files.length} test files\n`)
  const env = {
    ...process.env,
    OTTLA_KAFKA_BROKERS: brokers,
    OTTLA_KAFKA_LIBS: libs,
    OTTLA_KAFKA_VERSION: version,
  }
  const flags = ['--test', '--test-reporter=spec', '--test-concurrency=1', `--test-timeout=${testTimeoutMs}`]
  const tests = spawn(process.execPath, [...flags, ...files], { env, stdio: 'inherit' })
  const forward = (signal: NodeJS.Signals) => tests.kill(signal)
  process.once('SIGINT', forward).once('SIGTERM', forward)
  const [code] = await once(tests, 'exit')
  return code ?? 1
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`ottla: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = error instanceof MissingToolError ? error.exitCode : 1
}
