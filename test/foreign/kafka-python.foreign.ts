/** kafka-python, a client that shares no code with any other, against the embedded broker. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startCluster } from '../../src/broker/index.ts'
import { missing, runProgram } from './present.ts'

// Debian's Python is the one that Debian's packages are installed for; another one may stand before it in the path.
const python = ['/usr/bin/python3', 'python3'].find(
  (program) => !missing(program, ['-c', 'import kafka'], ''),
)
const skip =
  python === undefined ? 'no kafka-python here: install it (Debian: apt install python3-kafka)' : false
const script = fileURLToPath(new URL('./kafka_python_client.py', import.meta.url))

test('kafka-python produces, consumes in a group, and administers', { skip }, async (t) => {
  const cluster = await startCluster({ brokers: 3, topics: { orders: 3 } })
  t.after(() => cluster.stop())
  const { code, stdout, stderr } = await runProgram(python as string, [script, cluster.brokers.join(',')])
  assert.equal(code, 0, stderr)
  assert.deepEqual(JSON.parse(stdout), {
    produced: 100,
    consumed: 100,
    committed: 100,
    by_time: 0,
    group_state: 'Empty',
    topics: ['made', 'orders'],
    after_delete: ['orders'],
  })
})
