import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from '../../src/client/cluster.ts'
import type { Dial } from '../../src/client/dial.ts'
import { resolveClientOptions } from '../../src/client/options.ts'
import { CoordinatorLink } from '../../src/consumer/coordinator-link.ts'
import { heartbeat } from '../../src/protocol/messages/index.ts'
import { Bench, until } from './kit.ts'

const beat = () => ({ groupId: 'group', generationId: 1, memberId: 'm', groupInstanceId: null })

/** A link to the coordinator on a client of its own, and how many sockets that has open. */
class Bed implements AsyncDisposable {
  readonly bench: Bench
  readonly cluster: Cluster
  readonly link: CoordinatorLink
  readonly closing = new AbortController()
  sockets = 0
  /** Dials wait for it. */
  held: Promise<void> = Promise.resolve()

  private constructor(bench: Bench) {
    this.bench = bench
    const { broker } = bench
    const dial: Dial = async (address, options) => {
      await this.held
      const stream = await broker.dial(address, options)
      this.sockets++
      stream.once('close', () => this.sockets--)
      return stream
    }
    this.cluster = new Cluster(resolveClientOptions({ brokers: broker.brokers, dial }))
    const { signal } = this.closing
    this.link = new CoordinatorLink({ cluster: this.cluster, groupId: 'group', purpose: 'link', signal })
  }

  /** With shared connections to all nodes, so that what is dialled later is the link's. */
  static async open(): Promise<Bed> {
    const bed = new Bed(await Bench.open({ brokers: 3 }))
    await bed.cluster.refresh()
    await Promise.all(bed.cluster.brokers().map(({ nodeId }) => bed.cluster.connection(nodeId)))
    await bed.cluster.coordinator('group', 'group')
    return bed
  }

  /** Returns the node that coordinates now. */
  move(): number {
    const { broker } = this.bench
    const next = (broker.coordinatorOf('group') % 3) + 1
    broker.moveCoordinator('group', next)
    return next
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster.stop()
    await this.bench[Symbol.asyncDispose]()
  }
}

test('the connection to a former coordinator closes when it is quiet', async () => {
  await using bed = await Bed.open()
  const { link, bench } = bed
  const shared = bed.sockets
  await link.request(heartbeat, beat)
  assert.equal(bed.sockets, shared + 1)
  let isAsked = false
  bench.broker.faults.on({ api: 'Heartbeat', times: 1, where: () => (isAsked = true) }, { delayMs: 30 })
  const answered = link.request(heartbeat, beat)
  await until(() => isAsked, 'the request is there')
  bed.move()
  link.forget()
  await answered
  for (let moves = 0; moves < 3; moves++) {
    await link.request(heartbeat, beat)
    await until(() => bed.sockets === shared + 1, 'the former one closes')
    bed.move()
    link.forget()
  }
  link.close()
  await until(() => bed.sockets === shared, 'all of them close')
})

test('a link closes also what it has opened to former coordinators', async () => {
  await using bed = await Bed.open()
  const { link, bench } = bed
  const shared = bed.sockets
  await link.request(heartbeat, beat)
  let isAsked = false
  bench.broker.faults.on({ api: 'Heartbeat', times: 1, where: () => (isAsked = true) }, 'swallow')
  const silent = assert.rejects(link.request(heartbeat, beat), { code: 'CONNECTION_CLOSED' })
  await until(() => isAsked, 'the request is there')
  bed.move()
  link.forget()
  await link.request(heartbeat, beat)
  assert.equal(bed.sockets, shared + 2)
  link.close()
  await silent
  await until(() => bed.sockets === shared, 'both close')
})

test('a coordinator that is forgotten and found again keeps its connection', async () => {
  await using bed = await Bed.open()
  await bed.link.request(heartbeat, beat)
  const node = bed.bench.broker.coordinatorOf('group')
  const connection = bed.cluster.openConnection(node, 'link')
  bed.link.forget()
  await bed.link.request(heartbeat, beat)
  assert.equal(bed.cluster.openConnection(node, 'link'), connection)
  assert.ok(connection?.isOpen)
})

test('a coordinator that is forgotten while it is dialled is not kept', async () => {
  await using bed = await Bed.open()
  const { link } = bed
  const shared = bed.sockets
  let release: () => void = () => undefined
  bed.held = new Promise((resolve) => (release = resolve))
  const connecting = link.request(heartbeat, beat)
  await new Promise((resolve) => setImmediate(resolve))
  const node = bed.move()
  link.forget()
  release()
  await connecting
  assert.ok(bed.cluster.openConnection(node, 'link'), 'it is connected to the present one')
  await until(() => bed.sockets === shared + 1, 'the former one closes')
  bed.closing.abort()
  link.close()
  await until(() => bed.sockets === shared, 'the present one closes')
})
