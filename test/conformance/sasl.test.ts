import { embeddedPlace } from './embedded-place.ts'
import { saslConformance, saslSettings } from './sasl.ts'

saslConformance('the embedded broker', () => {
  const { users, mechanisms, maxReauthMs } = saslSettings
  const configs = { 'connections.max.reauth.ms': String(maxReauthMs) }
  return embeddedPlace({ brokers: 1, sasl: { users, mechanisms }, configs })
})
