import { type ConsumerRecord, Kafka, type ProducerRecord } from '../../src/index.ts'
import {
  closing,
  consumption,
  drive,
  endToEnd,
  latency,
  type Meter,
  type Mode,
  type Orders,
  probeValue,
  produceMany,
  produceOne,
} from '../harness.ts'

const newKafka = ({ brokers }: Orders) => new Kafka({ clientId: 'bench', brokers })

type Producer = ReturnType<Kafka['producer']>

const producing =
  (work: (producer: Producer, orders: Orders, meter: Meter) => Promise<void>): Mode =>
  async (orders, meter) => {
    const kafka = newKafka(orders)
    const producer = kafka.producer({ compression: orders.compression })
    await producer.start()
    await work(producer, orders, meter)
    await closing(kafka.stop())
  }

const one = (work: typeof produceOne) =>
  producing((producer, orders, meter) => work(orders, meter, (record) => producer.send(record)))

type Took = (records: number, bytes: number) => void

const consuming =
  (start: (consumer: ReturnType<Kafka['consumer']>, took: Took) => Promise<void>): Mode =>
  async (orders, meter) => {
    const kafka = newKafka(orders)
    // Connected, as the others are before they join.
    await kafka.admin().describeCluster()
    await meter.idle()
    const { assigned, took, done } = consumption(orders, meter)
    const consumer = kafka.consumer({
      groupId: orders.groupId,
      topics: [orders.topic],
      onRebalance: ({ type }) => {
        if (type === 'assigned') assigned()
      },
    })
    await Promise.race([done, start(consumer, took)])
    await closing(kafka.stop())
  }

const each = consuming((consumer, took) => consumer.run(async (record) => took(1, record.value?.length ?? 0)))

const batches = consuming((consumer, took) =>
  consumer.runBatches(async (batch) => {
    let bytes = 0
    for (const record of batch) bytes += record.value?.length ?? 0
    took(batch.length, bytes)
  }),
)

const e2e: Mode = async (orders, meter) => {
  const kafka = newKafka(orders)
  const producer = kafka.producer()
  const send = (record: ProducerRecord) => producer.send(record)
  await send({ topic: orders.topic, value: probeValue() })
  const { arrived, run } = await endToEnd(orders, meter, send)
  const consumer = kafka.consumer({ groupId: orders.groupId, topics: [orders.topic] })
  await new Promise<void>((resolve, reject) => {
    const handle = async (record: ConsumerRecord) => {
      if (record.value) arrived(record.value)
      resolve()
    }
    consumer.run(handle).catch(reject)
  })
  await run()
  await closing(kafka.stop())
}

/** Sends as fast as the bound lets it until stdin closes, while its broker is taken away. */
const away: Mode = async (orders, meter) => {
  const kafka = newKafka(orders)
  const producer = kafka.producer({ bufferBytes: orders.bufferBytes, deliveryTimeoutMs: 600_000 })
  await producer.start()
  await producer.send({ topic: orders.topic, value: orders.values[0]! })
  await meter.idle()
  let ended = false
  process.stdin.once('end', () => {
    ended = true
  })
  process.stdin.resume()
  let delivered = 0
  let next = 0
  const onDelivered = () => {
    delivered++
  }
  // A failure shows in the count of delivered records, which the caller compares with the log.
  const onFailed = () => undefined
  meter.start()
  while (!ended) {
    await producer.ready()
    const value = orders.values[next++ % orders.values.length]!
    producer.send({ topic: orders.topic, value }).then(onDelivered, onFailed)
    // Sending must not keep the loop from its sockets, as it would not in an application.
    if (next % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await producer.flush({ timeoutMs: 60_000 })
  meter.stop(delivered, { sent: next + 1 })
  await closing(kafka.stop())
}

await drive({
  produce: producing((producer, orders, meter) =>
    produceMany(orders, meter, (records) => producer.send(records)),
  ),
  'produce-one': one(produceOne),
  latency: one(latency),
  'consume-each': each,
  'consume-batch': batches,
  e2e,
  away,
})
