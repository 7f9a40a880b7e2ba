/** The life of a topic on a real Kafka, with the commands alone. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { runCli } from './run-cli.ts'

const env = { KAFKA_BROKERS: process.env['OTTLA_KAFKA_BROKERS'] ?? '' }
const cli = async (args: string, input = '') => {
  const ended = await runCli(args.split(' '), { input, env })
  assert.equal(ended.code, 0, ended.stderr)
  return ended.stdout
}

test('create, produce, consume, look at the group, delete', async (t) => {
  const name = `cli-${randomBytes(6).toString('hex')}`
  t.after(() => runCli(['topics', 'delete', name], { env }))
  assert.equal(
    await cli(`topics create ${name} -p 2 -r 1 -c retention.ms=60000`),
    `created ${name} with 2 partitions and 1 replica of each\n`,
  )
  const lines = Array.from({ length: 500 }, (_, n) => `k${n % 7}:v${n}\n`).join('')
  await cli(`produce ${name} -k : --compression lz4`, lines)
  const sorted = (text: string) => text.trimEnd().split('\n').toSorted()
  assert.deepEqual(sorted(await cli(`consume ${name} -e -k :`)), sorted(lines))
  const groups: { groupId: string }[] = JSON.parse(await cli('groups list --json'))
  assert.ok(!groups.some(({ groupId }) => groupId.startsWith('ottla-cli-')), 'it leaves no group behind')
  const some = await cli(`consume ${name} -g ${name} --max 10 -k :`)
  const rest = await cli(`consume ${name} -g ${name} -e -k :`)
  assert.equal(some.trimEnd().split('\n').length, 10)
  assert.deepEqual(sorted(some + rest), sorted(lines))

  const described = JSON.parse(await cli(`topics describe ${name} --json`))
  assert.equal(described.config['retention.ms'], '60000')
  const group = JSON.parse(await cli(`groups describe ${name} --json`))
  assert.equal(group.state, 'Empty')
  assert.deepEqual(
    group.partitions.map(({ lag }: { lag: number }) => lag),
    [0, 0],
  )
  await cli(`groups delete ${name}`)
  const gone = await runCli(['groups', 'describe', name], { env })
  assert.deepEqual([gone.code, gone.stderr], [1, `ottla: There is no group ${name}.\n`])
})
