import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import { runKafkaTool, startKafka } from '../../tools/kafka/index.ts'

test('a node that was killed comes back on its port with what it held', async () => {
  await using kafka = await startKafka()
  const [node] = kafka.nodes
  assert.ok(node)
  const server = ['--bootstrap-server', kafka.brokers.join(',')]
  const produced = await runKafkaTool('ConsoleProducer', [...server, '--topic', 'kept'], {
    input: 'one\ntwo\n',
  })
  assert.equal(produced.code, 0, produced.stderr)
  const firstPid = node.pid
  await node.kill()
  assert.equal(node.pid, undefined)
  await node.restart()
  assert.notEqual(node.pid, firstPid)
  const read = ['--topic', 'kept', '--from-beginning', '--max-messages', '2']
  const { stdout, stderr } = await runKafkaTool('ConsoleConsumer', [...server, ...read])
  assert.equal(stdout, 'one\ntwo\n', stderr)
})

test('the certificates are good for a listener that asks the client for one', async () => {
  await using kafka = await startKafka({ security: { protocol: 'SSL', clientCertificate: 'required' } })
  assert.ok(kafka.certificates)
  const { authority, client } = kafka.certificates
  const socket = connect({
    host: 'localhost',
    port: Number(kafka.brokers[0]?.split(':')[1]),
    ca: authority.certificate,
    cert: client.certificate,
    key: client.key,
  })
  await once(socket, 'secureConnect')
  assert.equal(socket.authorized, true)
  socket.destroy()
})

test('a parent that is killed leaves neither a node nor its folder behind', async () => {
  const parent = spawn(process.execPath, ['tools/kafka/start.ts'], { stdio: ['ignore', 'pipe', 'inherit'] })
  await firstLine(parent)
  const [node] = childrenOf(parent.pid).filter((pid) => commandOf(pid).includes('kafka.Kafka'))
  assert.ok(node)
  const folder = /\/(ottla-kafka-[^/]+)\//.exec(commandOf(node))?.[1]
  assert.ok(folder)
  parent.kill('SIGKILL')
  const gone = () => commandOf(node) === '' && !readdirSync(tmpdir()).includes(folder)
  for (const deadline = performance.now() + 10_000; !gone() && performance.now() < deadline; ) await sleep(50)
  assert.ok(gone(), `node ${node} or ${folder} is still there`)
})

async function firstLine({ stdout }: ChildProcess): Promise<void> {
  assert.ok(stdout)
  await once(createInterface(stdout), 'line')
}

function childrenOf(parent: number | undefined): number[] {
  const pids = readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0)
  return pids.filter((pid) => statusOf(pid).includes(`PPid:\t${parent}\n`))
}

const statusOf = (pid: number) => textOf(`/proc/${pid}/status`)
const commandOf = (pid: number) => textOf(`/proc/${pid}/cmdline`)

/** Processes end while they are being looked at. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
