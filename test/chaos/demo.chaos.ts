/** The demo as a process: its figures, and that nothing of it is left when it is interrupted. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Kafka } from '../../src/index.ts'
import { readHistory } from '../support/history/index.ts'
import { parseAddress } from '../support/raw-connection.ts'

const main = fileURLToPath(new URL('../../demo/main.ts', import.meta.url))

/** Its temporary files go to a folder of the test. */
function startDemo(t: TestContext, args: readonly string[]) {
  const dir = mkdtempSync(join(tmpdir(), 'ottla-demo-test-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args], {
    env: { ...process.env, TMPDIR: dir },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text
  })
  return { child, dir, text: () => printed, exited: once(child, 'close') }
}

/** The processes that this one has started and that still run, and theirs. */
function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .map(Number)
  return children.flatMap((child) => [child, ...childrenOf(child)])
}

const runs = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 50))
}

/** Looks, as soon as it has printed this. */
function whenPrinted<T>(
  { child, text }: ReturnType<typeof startDemo>,
  pattern: RegExp,
  look: (found: RegExpExecArray) => Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const onData = () => {
      const found = pattern.exec(text())
      if (found === null) return
      child.stdout.off('data', onData)
      look(found).then(resolve, reject)
    }
    child.stdout.on('data', onData)
    child.once('close', () => reject(new Error(`it never printed ${pattern}:\n${text()}`)))
  })
}

const listens = (address: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(parseAddress(address))
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })

async function leaderOfPartition1(brokers: readonly string[]): Promise<number | undefined> {
  const kafka = new Kafka({ brokers })
  try {
    const topics = await kafka.admin().listTopics()
    return topics.find(({ name }) => name.startsWith('ottla-demo-'))?.partitions[1]?.leaderId
  } finally {
    await kafka.stop()
  }
}

/** What was broken, and that it was: as the cluster and the history show it, not as it is told. */
async function seeItBreak(demo: ReturnType<typeof startDemo>): Promise<void> {
  const brokers = await whenPrinted(demo, /brokers at (.*)\n/, async ([, list = '']) => list.split(', '))
  const stopped = await whenPrinted(demo, /broker (\d) is stopped/, ([, id]) =>
    listens(brokers[Number(id) - 1] as string),
  )
  assert.equal(stopped, false, 'the broker that is stopped listens')
  await whenPrinted(demo, /leader of partition 1 moved from broker \d to broker (\d)/, async ([, id]) =>
    assert.equal(await leaderOfPartition1(brokers), Number(id)),
  )
}

function seeWhoWasKilled(dir: string): void {
  const events = readHistory(dir)
  const faults = events.flatMap((event) => (event.op === 'fault' ? [`${event.fault} ${event.phase}`] : []))
  assert.deepEqual(faults, ['broker begin', 'broker end', 'leader once', 'kill once'])
  const last = events.findLast(({ proc }) => proc === 'member-1')?.t ?? Number.POSITIVE_INFINITY
  const next = events.find(({ proc }) => proc === 'member-3')?.t ?? 0
  assert.ok(last < next, 'a member that was killed does nothing after another has taken its place')
}

test('the demo counts what it sent, and nothing is lost', { timeout: 120_000 }, async (t) => {
  const demo = startDemo(t, ['--records', '60000', '--keep'])
  await seeItBreak(demo)
  const [code] = await demo.exited
  assert.equal(code, 0, demo.text())
  for (const line of [
    '60,000  sent',
    '0  lost',
    '0  duplicated in the log',
    '0  out of order',
    '0  not handled',
  ]) {
    assert.match(demo.text(), new RegExp(`^ +${line}$`, 'm'))
  }
  assert.match(demo.text(), /broker \d is stopped[\s\S]*broker \d is back[\s\S]*leader of partition 1 moved/)
  assert.match(demo.text(), /member-1 is killed with SIGKILL[\s\S]*member-3 takes its place/)
  assert.match(demo.text(), /^ +\d+\.\d s {2}\[#*-*\] +\d+% {2}[\d,]+ sent, [\d,]+ handled, [\d,]+\/s$/m)
  const [, kept = ''] = /^the history is in (.*)$/m.exec(demo.text()) ?? []
  seeWhoWasKilled(kept)
})

test('a demo that cannot run ends with 1', { timeout: 60_000 }, async (t) => {
  const demo = startDemo(t, ['--records', '5'])
  assert.deepEqual(await demo.exited, [1, null])
  assert.deepEqual(readdirSync(demo.dir), [])
})

const linux = process.platform === 'linux' ? false : 'the processes are found in /proc'

for (const signal of ['SIGINT', 'SIGKILL'] as const) {
  test(`nothing runs on when the demo ends by ${signal}`, { skip: linux, timeout: 60_000 }, async (t) => {
    const demo = startDemo(t, [])
    await until(() => demo.text().includes('a producer and two members'))
    const children = childrenOf(demo.child.pid as number)
    assert.ok(children.length >= 4, `there were only ${children.length} processes`)
    demo.child.kill(signal)
    const [code] = await demo.exited
    assert.equal(code, signal === 'SIGINT' ? 130 : null)
    await until(() => !children.some(runs))
    if (signal === 'SIGINT') assert.deepEqual(readdirSync(demo.dir), [])
  })
}
