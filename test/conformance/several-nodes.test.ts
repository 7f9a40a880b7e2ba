import { embeddedPlace } from './embedded-place.ts'
import { severalNodes, severalNodesSettings } from './several-nodes.ts'

severalNodes('the embedded broker', () => {
  const settings = Object.entries(severalNodesSettings).map(([key, value]) => [key, String(value)])
  return embeddedPlace({ brokers: 3, configs: Object.fromEntries(settings) })
})
