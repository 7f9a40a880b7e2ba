// What `npm run …` runs: makes sure of a current Node and of the dependencies, then does the task.
// Plain JavaScript for an old Node; everything after it runs on a current one.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { currentNode, npm, root } from './node.mjs'

const tsc = 'node_modules/typescript/bin/tsc'
const biome = 'node_modules/@biomejs/biome/bin/biome'
/** The tests whose file names end like this. */
const suite = (suffix) => [['--test', '--test-reporter=spec', { suffix }]]

/** Each task is a list of command lines for Node, run in turn until one fails. */
const tasks = {
  build: [['tools/build.mjs']],
  test: suite('.test.ts'),
  typecheck: [[tsc, '-p', 'tsconfig.json']],
  lint: [[biome, 'check', '--error-on-warnings']],
  format: [[biome, 'check', '--write']],
  // kafkajs, which reads the log back, sets timers that lie in the past.
  demo: [['--disable-warning=TimeoutNegativeWarning', 'demo/main.ts']],
  // One of the peers sets timers in the past; Node would say so a hundred times.
  bench: [['--disable-warning=TimeoutNegativeWarning', 'bench/main.ts']],
  'test:kafka': [['tools/kafka-suite.ts']],
  'test:foreign': suite('.foreign.ts'),
  'test:chaos': suite('.chaos.ts'),
  'test:fuzz': [['test/fuzz/main.ts']],
  'test:package': [['tools/check-package.mjs']],
  examples: [['tools/build.mjs'], ['tools/run-examples.ts']],
}

/** Installs once, and again whenever the lock file is newer than what stands in node_modules. */
function ensureDependencies() {
  const installed = join(root, 'node_modules', '.package-lock.json')
  const lock = join(root, 'package-lock.json')
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return
  if (existsSync(installed) && sameTree(installed, lock)) return
  console.error('ottla: installing the dependencies')
  npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund'])
}

function sameTree(installed, lock) {
  const packages = (file) => JSON.parse(readFileSync(file, 'utf8')).packages
  const present = packages(installed)
  return Object.entries(packages(lock)).every(
    ([path, entry]) => path === '' || entry.optional || present[path]?.version === entry.version,
  )
}

/** Looked for here because `node --test` counts an empty list as a success. Files named by the caller come instead. */
function testFiles({ suffix }, rest) {
  if (rest.some((argument) => argument.endsWith('.ts'))) return []
  const files = readdirSync(join(root, 'test'), { recursive: true }).filter((file) => file.endsWith(suffix))
  if (files.length === 0) throw new Error(`there is no test/**/*${suffix}`)
  return files.sort().map((file) => join('test', file))
}

function main([name, ...rest]) {
  const steps = tasks[name]
  if (!steps) {
    console.error(`ottla: no task ${name ?? '(none)'}; there are ${Object.keys(tasks).join(', ')}`)
    return 2
  }
  const node = currentNode()
  ensureDependencies()
  const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ''}` }
  for (const [index, step] of steps.entries()) {
    const own = step.flatMap((argument) =>
      typeof argument === 'string' ? argument : testFiles(argument, rest),
    )
    const args = index === steps.length - 1 ? [...own, ...rest] : own
    const done = spawnSync(node, args, { cwd: root, env, stdio: 'inherit' })
    if (done.error) throw done.error
    if (done.status !== 0) return done.status ?? 1
  }
  return 0
}

try {
  process.exitCode = main(process.argv.slice(2))
} catch (error) {
  console.error(`ottla: ${error.message}`)
  process.exitCode = 1
}
