/** A process with a consumer in the middle of a record, for the test that sends it SIGTERM. */
import { Bench, turn, until, values } from './kit.ts'

const tell = (line: string) => process.stdout.write(`${line}\n`)

await using bench = await Bench.open({ topics: { orders: 1 } })
const leaves = bench.broker.faults.on({ api: 'LeaveGroup' }, { delayMs: 0 })
await bench.append('orders', 0, values(3))
const consumer = bench.consumer({ topics: ['orders'], stopOnSignals: ['SIGTERM'] })
const running = consumer.run(async () => {
  tell('working')
  await until(() => consumer.state === 'draining', 'the signal')
  await turn(20)
  tell('handled')
})
await running
tell(consumer.state)
tell(`committed ${(await bench.committed('orders', 1))[0]}`)
tell(`listeners ${process.listenerCount('SIGTERM')}`)
tell(leaves.hits === 1 ? 'left' : 'did not leave')
