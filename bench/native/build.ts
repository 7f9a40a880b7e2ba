/** Builds the drivers in C (librdkafka) and Go (franz-go) where their compilers and headers are. */
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const build = join(here, 'build')

/** Builds what can be built and says what was left out and why; never throws for a compiler that is not there. */
export async function buildNative(say: (text: string) => void): Promise<void> {
  mkdirSync(build, { recursive: true })
  const flags = spawnSync('pkg-config', ['--cflags', '--libs', 'rdkafka'], { encoding: 'utf8' })
  const library = flags.status === 0 ? flags.stdout.trim().split(/\s+/) : ['-lrdkafka']
  const c = ['-O2', '-Wall', '-o', join(build, 'librdkafka'), join(here, 'librdkafka.c'), ...library, '-lpthread']
  tell('librdkafka', spawnSync('cc', c, { encoding: 'utf8' }))
  const franz = join(here, 'franz')
  tell('franz', spawnSync('go', ['build', '-o', join(build, 'franz'), '.'], { cwd: franz, encoding: 'utf8' }))

  function tell(name: string, done: ReturnType<typeof spawnSync>): void {
    const reason = done.error?.message ?? String(done.stderr).trim().split('\n').slice(0, 3).join(' / ')
    say(done.status === 0 ? `bench: built the driver ${name}` : `bench: no driver ${name}: ${reason}`)
  }
}
