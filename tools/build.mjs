// Compiles src/ into a clean dist/ and makes the command line runnable.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './node.mjs'

const shebang = '#!/usr/bin/env node\n'

export function build() {
  const dist = join(root, 'dist')
  rmSync(dist, { recursive: true, force: true })
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const done = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
    cwd: root,
    stdio: 'inherit',
  })
  if (done.error) throw done.error
  if (done.status !== 0) throw new Error('tsc found errors, so there is no build')
  const cli = join(dist, 'cli', 'main.js')
  if (!existsSync(cli)) throw new Error('the build holds no cli/main.js, which package.json names as `bin`')
  const text = readFileSync(cli, 'utf8')
  if (!text.startsWith('#!')) writeFileSync(cli, shebang + text)
  chmodSync(cli, 0o755)
}

if (process.argv[1] === join(root, 'tools', 'build.mjs') || process.argv[1] === 'tools/build.mjs') {
  try {
    build()
  } catch (error) {
    console.error(`ottla: ${error.message}`)
    process.exitCode = 1
  }
}
