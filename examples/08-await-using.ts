// On Node 24, or compiled by TypeScript, `await using` stops everything at the end of its block.
import { Kafka } from 'ottla'

await using kafka = Kafka.fromEnv()
await kafka.admin().createTopics([{ name: 'greetings', partitions: 1 }])
await using producer = kafka.producer()
const { offset } = await producer.send({ topic: 'greetings', value: 'hello' })
console.log(`at offset ${offset}`)
