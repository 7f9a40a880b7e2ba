import { Consumer, Producer } from '@platformatic/kafka'
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

function newProducer({ brokers, compression }, idempotent) {
  return new Producer({
    clientId: 'bench',
    bootstrapBrokers: brokers,
    acks: -1,
    idempotent,
    ...(compression === 'none' ? {} : { compression }),
  })
}

const producing = (run, idempotent) => async (orders, meter) => {
  const producer = newProducer(orders, idempotent)
  await run(producer)(orders, meter)
  await closing(producer.close())
}

const many = (producer) => (orders, meter) =>
  produceMany(orders, meter, (messages) => producer.send({ messages }))
const one = (work) => (producer) => (orders, meter) =>
  work(orders, meter, (message) => producer.send({ messages: [message] }))

async function consume(orders, meter) {
  const consumer = new Consumer({
    clientId: 'bench',
    bootstrapBrokers: orders.brokers,
    groupId: orders.groupId,
  })
  await consumer.metadata({ topics: [orders.topic] })
  await meter.idle()
  const { assigned, took, done } = consumption(orders, meter)
  consumer.on('consumer:group:join', assigned)
  const stream = await consumer.consume({ topics: [orders.topic], mode: 'earliest', autocommit: true })
  stream.on('data', (message) => took(1, message.value.length))
  await done
  await closing(stream.close().then(() => consumer.close()))
}

async function e2e(orders, meter) {
  const producer = newProducer(orders, true)
  const consumer = new Consumer({
    clientId: 'bench',
    bootstrapBrokers: orders.brokers,
    groupId: orders.groupId,
  })
  const send = (message) => producer.send({ messages: [message] })
  await send({ topic: orders.topic, value: probeValue() })
  const { arrived, run } = await endToEnd(orders, meter, send)
  const stream = await consumer.consume({ topics: [orders.topic], mode: 'earliest', autocommit: true })
  const first = new Promise((resolve) => stream.once('data', resolve))
  stream.on('data', (message) => arrived(message.value))
  await first
  await run()
  await closing(stream.close().then(() => Promise.all([consumer.close(), producer.close()])))
}

await drive({
  produce: producing(many, true),
  'produce-plain': producing(many, false),
  'produce-one': producing(one(produceOne), true),
  latency: producing(one(latency), true),
  'consume-each': consume,
  e2e,
})
