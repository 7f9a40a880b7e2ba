/**
 * `node tools/kafka/start.ts [--nodes 1|3] [--version 4.3.0] [--security SASL_PLAINTEXT] [--property key=value …]`
 *
 * Prints `brokers: host:port,…` and stays until SIGINT or SIGTERM. Exit code 3 without Java or Maven.
 */
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { type KafkaOptions, type KafkaSecurity, MissingToolError, startKafka } from './index.ts'

const protocols = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'] as const

function options(): KafkaOptions {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: '1' },
      version: { type: 'string' },
      security: { type: 'string', default: 'PLAINTEXT' },
      property: { type: 'string', multiple: true, default: [] },
    },
  })
  const protocol = protocols.find((name) => name === values.security)
  if (!protocol) throw new Error(`--security is one of ${protocols.join(', ')}`)
  if (values.nodes !== '1' && values.nodes !== '3') throw new Error('--nodes is 1 or 3')
  const security: KafkaSecurity = { protocol }
  const properties = Object.fromEntries(
    values.property.map((pair) => {
      const at = pair.indexOf('=')
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
  return {
    nodes: values.nodes === '3' ? 3 : 1,
    security,
    properties,
    ...(values.version ? { version: values.version } : {}),
  }
}

async function main(): Promise<void> {
  const interrupted = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
  const kafka = await Promise.race([startKafka(options()), interrupted.then(() => undefined)])
  // Interrupted while starting: leaving is enough, the reaper ends what has been started.
  if (!kafka) process.exit(130)
  process.stdout.write(`brokers: ${kafka.brokers.join(',')}\n`)
  if (kafka.brokers !== kafka.plaintextBrokers) {
    process.stdout.write(`plaintext brokers: ${kafka.plaintextBrokers.join(',')}\n`)
  }
  await interrupted
  await kafka.stop()
}

try {
  await main()
} catch (error) {
  process.stderr.write(`ottla: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = error instanceof MissingToolError ? error.exitCode : 1
}
