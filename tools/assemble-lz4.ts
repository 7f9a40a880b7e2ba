/**
 * `node tools/assemble-lz4.ts`: assembles src/protocol/lz4-blocks.wat into lz4-blocks.ts, which is committed. The
 * assembler, wabt, is fetched from npm for it; nothing else needs it.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const assembler = 'wabt@1.0.39'
const lineLength = 96
const source = join(import.meta.dirname, '../src/protocol/lz4-blocks.wat')
const folder = mkdtempSync(join(tmpdir(), 'ottla-lz4-'))
try {
  const binary = join(folder, 'lz4-blocks.wasm')
  const wat2wasm = ['exec', '--yes', '--package', assembler, '--', 'wat2wasm', source, '-o', binary]
  const done = spawnSync('npm', wat2wasm, { stdio: ['ignore', 2, 2] })
  if (done.status !== 0) throw new Error('it was not assembled: see above')
  const text = readFileSync(binary).toString('base64')
  const lines = text.match(new RegExp(`.{1,${lineLength}}`, 'g')) ?? []
  const digest = createHash('sha256').update(readFileSync(source)).digest('hex')
  const output = `/** lz4-blocks.wat as WebAssembly, in base64: made by tools/assemble-lz4.ts. */
export const lz4Blocks = [
${lines.map((line) => `  '${line}',`).join('\n')}
].join('')

/** SHA-256 of the text that it was made of. */
export const lz4BlocksSource = '${digest}'
`
  writeFileSync(source.replace(/\.wat$/, '.ts'), output)
} finally {
  rmSync(folder, { recursive: true })
}
