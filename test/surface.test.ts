/** The public surface, name by name. An export is a promise: adding one is deliberate, taking one away breaks users. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')

/** Names between the braces of every `export { … }` and `export type { … }`. */
const exportedBy = (text: string): string[] =>
  [...text.matchAll(/^export (?:type )?\{([^}]*)\}/gm)]
    .flatMap((match) => (match[1] as string).split(','))
    .map((name) => name.replace(/^\s*type\s+/, '').trim())
    .filter((name) => name !== '')
    .concat(
      [...text.matchAll(/^export (?:async )?(?:function|const|class) (\w+)/gm)].map(
        (match) => match[1] as string,
      ),
    )
    .sort()

const snapshot = JSON.parse(read('test/surface.json')) as { readonly [entry: string]: readonly string[] }

for (const [entry, file] of [
  ['ottla', 'src/index.ts'],
  ['ottla/broker', 'src/broker/index.ts'],
] as const) {
  test(`${entry} exports what its snapshot says`, () => {
    assert.deepEqual(exportedBy(read(file)), snapshot[entry])
  })
}

test('the values of the surface are there at run time', async () => {
  const names = Object.keys(await import('../src/index.ts')).sort()
  assert.deepEqual(names, [
    'BrokerError',
    'FailedAtError',
    'Kafka',
    'OttlaError',
    'PartialDeliveryError',
    'PartialFailureError',
    'errorCodes',
  ])
  const ofBroker = Object.keys(await import('../src/broker/index.ts')).sort()
  assert.deepEqual(ofBroker, ['VirtualClock', 'seededRandom', 'startCluster'])
})

test('package.json offers these entries and no others', () => {
  const { exports } = JSON.parse(read('package.json')) as { exports: object }
  assert.deepEqual(Object.keys(exports), ['.', './broker', './package.json'])
})
