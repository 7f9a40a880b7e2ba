// Compiles src/ into dist/: types and JavaScript with tsc, then the JavaScript of each entry point joined into one file,
// with what several of them share in files beside it. Loading few files instead of two hundred is what makes
// `import 'ottla'` quick: see docs/decisions/few-files.md.
//
// The work is done in a folder aside, which takes the place of dist/ when it is whole.
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { root } from './node.mjs'

const shebang = '#!/usr/bin/env node\n'
const dist = join(root, 'dist')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

export async function build() {
  const staging = join(root, `dist.${process.pid}`)
  try {
    compile(staging)
    await joinFiles(staging)
    for (const program of Object.values(manifest.bin)) makeRunnable(join(staging, withinDist(program)))
    rmSync(dist, { recursive: true, force: true })
    renameSync(staging, dist)
  } finally {
    rmSync(staging, { recursive: true, force: true })
  }
}

function compile(folder) {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const args = [tsc, '-p', 'tsconfig.build.json', '--outDir', folder]
  const done = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' })
  if (done.error) throw done.error
  if (done.status !== 0) throw new Error('tsc found errors, so there is no build')
}

const withinDist = (path) => path.replace(/^\.\/dist\//, '')

/** The files that package.json names, within dist/. */
function entryPoints() {
  const exported = Object.values(manifest.exports).map((entry) => entry.default ?? entry)
  return [...exported, ...Object.values(manifest.bin)].filter((path) => path.endsWith('.js')).map(withinDist)
}

async function joinFiles(folder) {
  const entries = entryPoints()
  for (const file of entries) {
    if (!existsSync(join(folder, file)))
      throw new Error(`package.json names dist/${file}, which src/ does not make`)
  }
  const rolldown = await bundler()
  if (!rolldown) return
  const joined = join(folder, 'joined')
  const bundle = await rolldown({
    input: Object.fromEntries(entries.map((file) => [file.slice(0, -'.js'.length), join(folder, file)])),
    platform: 'node',
    // Whatever is not ours stays an import: dependencies are installed, not copied in.
    external: (id) => !id.startsWith('.') && !id.startsWith('/'),
  })
  // Not minified: a stack trace reads as the sources do.
  await bundle.write({ dir: joined, format: 'esm', chunkFileNames: 'shared/[name].js', minify: false })
  await bundle.close()
  for (const file of globSync('**/*.js', { cwd: folder, exclude: ['joined'] })) rmSync(join(folder, file))
  for (const file of globSync('**/*.js', { cwd: joined })) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    renameSync(join(joined, file), join(folder, file))
  }
  rmSync(joined, { recursive: true })
}

/** Its binary is made for the common platforms only; elsewhere what tsc made does as well, only slower to load. */
async function bundler() {
  try {
    return (await import('rolldown')).rolldown
  } catch (error) {
    console.error(`ottla: dist/ stays in many files, because rolldown does not run here: ${error.message}`)
    return undefined
  }
}

function makeRunnable(file) {
  const text = readFileSync(file, 'utf8')
  if (!text.startsWith('#!')) writeFileSync(file, shebang + text)
  chmodSync(file, 0o755)
}

if (process.argv[1] && fileURLToPath(import.meta.url) === resolve(process.argv[1])) {
  try {
    await build()
  } catch (error) {
    console.error(`ottla: ${error.message}`)
    process.exitCode = 1
  }
}
