import { Kafka, logLevel, Partitioners } from 'kafkajs'
import {
  closing,
  consumption,
  drive,
  endToEnd,
  latency,
  probeValue,
  produceMany,
  produceOne,
} from '../harness.ts'

const newKafka = ({ brokers }) => new Kafka({ clientId: 'bench', brokers, logLevel: logLevel.ERROR })
const producerOptions = { createPartitioner: Partitioners.DefaultPartitioner }

const producing = (run, more) => async (orders, meter) => {
  const producer = newKafka(orders).producer({ ...producerOptions, ...more })
  await producer.connect()
  await run(producer)(orders, meter)
  await closing(producer.disconnect())
}

const many = (producer) => (orders, meter) =>
  produceMany(orders, meter, (messages) => producer.send({ topic: orders.topic, acks: -1, messages }))
const one = (work) => (producer) => (orders, meter) =>
  work(orders, meter, (message) => producer.send({ topic: orders.topic, acks: -1, messages: [message] }))

const consuming = (handler) => async (orders, meter) => {
  const consumer = newKafka(orders).consumer({ groupId: orders.groupId })
  await consumer.connect()
  await consumer.subscribe({ topics: [orders.topic], fromBeginning: true })
  await meter.idle()
  const { assigned, took, done } = consumption(orders, meter)
  consumer.on(consumer.events.GROUP_JOIN, assigned)
  await consumer.run(handler(took))
  await done
  await closing(consumer.disconnect())
}

const each = (took) => ({ eachMessage: async ({ message }) => took(1, message.value.length) })

const batches = (took) => ({
  eachBatch: async ({ batch }) => {
    let bytes = 0
    for (const message of batch.messages) bytes += message.value.length
    took(batch.messages.length, bytes)
  },
})

async function e2e(orders, meter) {
  const kafka = newKafka(orders)
  const producer = kafka.producer({ ...producerOptions, idempotent: true })
  const consumer = kafka.consumer({ groupId: orders.groupId })
  await Promise.all([producer.connect(), consumer.connect()])
  const send = (message) => producer.send({ topic: orders.topic, acks: -1, messages: [message] })
  await send({ value: probeValue() })
  const { arrived, run } = await endToEnd(orders, meter, send)
  await consumer.subscribe({ topics: [orders.topic], fromBeginning: true })
  await new Promise((resolve, reject) => {
    const eachMessage = async ({ message }) => {
      arrived(message.value)
      resolve()
    }
    consumer.run({ eachMessage }).catch(reject)
  })
  await run()
  await closing(Promise.all([consumer.disconnect(), producer.disconnect()]))
}

await drive({
  produce: producing(many, {}),
  'produce-idempotent': producing(many, { idempotent: true, maxInFlightRequests: 5 }),
  'produce-one': producing(one(produceOne), {}),
  latency: producing(one(latency), {}),
  'consume-each': consuming(each),
  'consume-batch': consuming(batches),
  e2e,
})
