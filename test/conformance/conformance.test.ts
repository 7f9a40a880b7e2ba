import { embeddedPlace } from './embedded-place.ts'
import { conformance } from './suite.ts'

conformance('the embedded broker', () => embeddedPlace({ brokers: 1 }))
