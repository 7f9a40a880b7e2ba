/** `.ci/run`, the table of suites in CONTRIBUTING.md and the scripts of package.json speak of the same things. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { defaultKafkaVersion } from '../../tools/kafka/index.ts'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

const MINUTES_ALLOWED = 45

interface Step {
  readonly name: string
  readonly limit: number
  /** `npm run test:kafka -- --conformance-only` */
  readonly command: string
  readonly kafka: string | undefined
}

const steps: readonly Step[] = [
  ...read('.ci/run').matchAll(/^step '([^']+)' (\d+) (?:env OTTLA_KAFKA_VERSION=(\S+) )?(npm .+)$/gm),
].map(([, name = '', limit, kafka, command = '']) => ({ name, limit: Number(limit), command, kafka }))

interface Suite {
  readonly command: string
  readonly holds: string
  readonly minutes: number
}

const fractions: Readonly<Record<string, number>> = { '¼': 0.25, '½': 0.5 }
const suites: readonly Suite[] = [
  ...read('CONTRIBUTING.md').matchAll(/^\| `(npm [^`]+)` \| (.*) \|.*\| (\S+) \|$/gm),
].map(([, command = '', holds = '', minutes = '']) => ({
  command,
  holds,
  minutes: fractions[minutes] ?? Number(minutes),
}))

/** The row of the step: with the same command, or with one whose other arguments the row tells. */
const suiteOf = ({ command }: Step) =>
  suites.find((suite) => suite.command === command) ??
  suites.find(({ command: shorter, holds }) => {
    const rest = command.slice(shorter.length + 1)
    return command.startsWith(`${shorter} `) && holds.includes(`\`${rest}\``)
  })

test('CONTRIBUTING tells of every step of .ci/run, and .ci/run does everything that it tells of', () => {
  const every = read('.ci/run').match(/^step /gm)?.length
  assert.equal(steps.length, every, 'a step is not understood by this test')
  assert.deepEqual(
    steps.filter((step) => suiteOf(step) === undefined).map(({ name }) => name),
    [],
  )
  const done = new Set(steps.map(suiteOf))
  assert.deepEqual(
    suites.filter((suite) => !done.has(suite)).map(({ command }) => command),
    [],
  )
  for (const task of [
    'test',
    'typecheck',
    'lint',
    'test:kafka',
    'test:fuzz',
    'test:chaos',
    'test:foreign',
    'examples',
  ]) {
    const command = task === 'test' ? 'npm test' : `npm run ${task}`
    assert.ok(
      steps.some((step) => step.command.startsWith(command)),
      command,
    )
  }
})

test('the suites fit into the time that is allowed, and each into its own', () => {
  let sum = 0
  for (const step of steps) {
    const minutes = suiteOf(step)?.minutes ?? Number.NaN
    assert.ok(minutes > 0 && minutes < step.limit, `${step.name}: ${minutes} of ${step.limit} minutes`)
    sum += minutes
  }
  assert.ok(sum <= MINUTES_ALLOWED, `${sum} minutes`)
})

test('the newest Kafka runs the whole suite, and an older one the conformance suite', () => {
  const [whole, conformance, ...more] = steps.filter(({ kafka }) => kafka !== undefined)
  assert.deepEqual(more, [])
  assert.deepEqual([whole?.kafka, whole?.command], [defaultKafkaVersion, 'npm run test:kafka'])
  assert.equal(conformance?.command, 'npm run test:kafka -- --conformance-only')
  const minor = (version = '') => Number(version.split('.')[1])
  assert.ok(minor(conformance?.kafka) < minor(whole?.kafka), conformance?.kafka)
})

test('every script is a task of tools/task.mjs, under the same name', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Readonly<Record<string, string>> }
  const task = read('tools/task.mjs')
  for (const [name, command] of Object.entries(scripts)) {
    assert.equal(command, `node tools/task.mjs ${name}`)
    assert.match(task, new RegExp(`^  '?${name}'?: `, 'm'))
  }
  for (const { command } of suites) {
    const [, name = 'test'] = /^npm run (\S+)/.exec(command) ?? []
    assert.ok(name in scripts, command)
  }
})
