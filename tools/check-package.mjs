// What a person who installs the package gets: the tarball of `npm pack` in an empty project, used from JavaScript and
// from TypeScript, on the oldest and on the newest Node that the project is checked with.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { build } from './build.mjs'
import { ensureNode, npm, root, versions } from './node.mjs'

const importTargetMs = 60
const importRuns = 5

/** Uses every entry point for real: a cluster in the process, a record sent, the same record handled. */
const useIt = `
const cluster = await startCluster({ brokers: 1, topics: { greetings: 1 } })
const kafka = new Kafka({ clientId: 'package-check', brokers: cluster.brokers })
const producer = kafka.producer()
const receipt = await producer.send({ topic: 'greetings', value: 'hello' })
if (receipt.offset !== 0) throw new Error('offset ' + receipt.offset)
const consumer = kafka.consumer({ groupId: 'package-check', topics: ['greetings'] })
for await (const record of consumer) {
  if (record.value?.toString() !== 'hello') throw new Error('value ' + record.value)
  break
}
await kafka.stop()
await cluster.stop()
`
const imports = `import { Kafka } from 'ottla'\nimport { startCluster } from 'ottla/broker'\n`
const types = `
const settings: ConstructorParameters<typeof Kafka>[0] = { clientId: 'types', brokers: ['127.0.0.1:1'] }
void settings
`

const project = {
  'package.json': JSON.stringify({ private: true, type: 'module' }),
  'javascript.mjs': imports + useIt,
  'typescript.ts': imports + types + useIt,
  'common.cjs': `const { Kafka } = require('ottla')\nif (typeof Kafka !== 'function') throw new Error('no Kafka')\n`,
  'import-time.mjs': `const from = performance.now()\nawait import('ottla')\nconsole.log(performance.now() - from)\n`,
  'tsconfig.json': JSON.stringify({
    compilerOptions: {
      target: 'es2022',
      module: 'nodenext',
      types: ['node'],
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      noEmit: true,
    },
    files: ['typescript.ts'],
  }),
}

function run(command, args, options = {}) {
  const done = spawnSync(command, args, { encoding: 'utf8', timeout: 120_000, ...options })
  if (done.error) throw done.error
  if (done.status !== 0) {
    throw new Error(
      `${command} ${args.join(' ')} ended with ${done.status ?? done.signal}\n${done.stdout}${done.stderr}`,
    )
  }
  return done.stdout
}

async function step(name, work) {
  const note = await work()
  console.log(`ok  ${name}${note ? `: ${note}` : ''}`)
}

function pack(folder) {
  const [{ filename, files, unpackedSize }] = JSON.parse(
    run('npm', ['pack', '--json', '--ignore-scripts', '--loglevel=error', '--pack-destination', folder], {
      cwd: root,
    }),
  )
  const stray = files.filter(
    ({ path }) => !/^(dist\/|docs\/|README\.md$|LICENSE$|NOTICE$|CHANGELOG\.md$|package\.json$)/.test(path),
  )
  if (stray.length > 0) throw new Error(`the tarball holds ${stray.map(({ path }) => path).join(', ')}`)
  // Who installs it reads the README there, and follows its links.
  const linked = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/\]\((docs\/[^)#]+)/g)].map(
    ([, path]) => path,
  )
  const missing = linked.filter((path) => !files.some((file) => file.path === path))
  if (linked.length === 0 || missing.length > 0) throw new Error(`the tarball lacks ${missing.join(', ')}`)
  return {
    tarball: join(folder, filename),
    note: `${files.length} files, ${Math.round(unpackedSize / 1024)} KiB unpacked`,
  }
}

function withoutInstallScripts(folder) {
  const { packages } = JSON.parse(readFileSync(join(folder, 'node_modules', '.package-lock.json'), 'utf8'))
  const guilty = Object.entries(packages).filter(([, entry]) => entry.hasInstallScript)
  if (guilty.length > 0)
    throw new Error(`these run a script when installed: ${guilty.map(([path]) => path).join(', ')}`)
  return `${Object.keys(packages).length} packages`
}

/** The fastest is told as well: on a machine that does other things the median is theirs too. */
function importTime(node, folder) {
  const once = () => Number(run(node, ['import-time.mjs'], { cwd: folder }))
  const times = Array.from({ length: importRuns }, once).sort((a, b) => a - b)
  const median = times[importRuns >> 1]
  const missed = median > importTargetMs ? ', MISSED' : ''
  return `${median.toFixed(1)} ms, fastest ${times[0].toFixed(1)} (target ${importTargetMs})${missed}`
}

async function checkOn(major, folder) {
  const node = ensureNode(major)
  const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` }
  const inProject = { cwd: folder, env }
  await step(`Node ${major}: from JavaScript`, () => void run(node, ['javascript.mjs'], inProject))
  await step(`Node ${major}: from TypeScript`, () => void run(node, ['typescript.ts'], inProject))
  await step(`Node ${major}: from CommonJS`, () => void run(node, ['common.cjs'], inProject))
  await step(`Node ${major}: npx ottla --help`, () => {
    const help = run('npx', ['--no-install', 'ottla', '--help'], inProject)
    // npx would run a package's only program under any name.
    if (!existsSync(join(folder, 'node_modules', '.bin', 'ottla')))
      throw new Error('no program is called ottla')
    if (!/produce/.test(help)) throw new Error(`the help does not name its commands:\n${help}`)
  })
  await step(`Node ${major}: import time, median of ${importRuns}`, () => importTime(node, folder))
}

async function main() {
  const folder = mkdtempSync(join(tmpdir(), 'ottla-package-'))
  try {
    await step('build', build)
    let tarball = ''
    await step('npm pack', () => {
      const packed = pack(folder)
      tarball = packed.tarball
      return packed.note
    })
    const user = join(folder, 'user')
    mkdirSync(user)
    for (const [name, text] of Object.entries(project)) writeFileSync(join(user, name), text)
    npm(['install', '--no-audit', '--no-fund', tarball], user)
    await step('no install scripts', () => withoutInstallScripts(user))
    const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).devDependencies
    npm(['install', '--no-audit', '--no-fund', '--save-dev', `@types/node@${own['@types/node']}`], user)
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    await step(
      `types with TypeScript ${own.typescript}`,
      () => void run(process.execPath, [tsc, '-p', user], { cwd: user }),
    )
    for (const major of Object.keys(versions)) await checkOn(major, user)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

try {
  await main()
} catch (error) {
  console.error(`ottla: ${error.message}`)
  process.exitCode = 1
}
