/** A real Apache Kafka for tests, demos and benchmarks: needs Java 17 and Maven, fetches the rest. */
export { type PemPair, type TestCertificates, testCertificates } from './certificates.ts'
export { type Kafka, type KafkaNode, type KafkaOptions, startKafka } from './cluster.ts'
export { defaultKafkaVersion, ensureJars, findJava, kafkaVersion, MissingToolError } from './jars.ts'
export { freePorts } from './ports.ts'
export type { KafkaSecurity, Properties, SaslMechanism } from './properties.ts'
export { kafkaTools, runKafkaTool, type ToolOptions, type ToolResult } from './tool.ts'
