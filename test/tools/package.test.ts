/** What package.json promises to whoever installs the package, as far as it can be seen before a build. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { isCurrent, versions } from '../../tools/node.mjs'

const at = (path: string) => new URL(`../../${path}`, import.meta.url)
const read = (path: string) => readFileSync(at(path), 'utf8')

interface Manifest {
  readonly name: string
  readonly type: string
  readonly license: string
  readonly engines: { readonly node: string }
  readonly bin: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  readonly scripts: Readonly<Record<string, string>>
  readonly optionalDependencies: Readonly<Record<string, string>>
}

const manifest = JSON.parse(read('package.json')) as Manifest
const sourceOf = (built: string) => built.replace(/^\.\/dist\//, 'src/').replace(/\.js$|\.d\.ts$/, '.ts')

test('the package is one of ES modules', () => {
  assert.equal(manifest.name, 'ottla')
  assert.equal(manifest.type, 'module')
})

test('each entry says its types first, for a resolver takes the first that fits', () => {
  const entries = Object.values(manifest.exports).filter((entry) => typeof entry === 'object')
  assert.ok(entries.length > 0)
  for (const entry of entries) {
    assert.deepEqual(Object.keys(entry), ['types', 'default'])
    for (const path of Object.values(entry)) assert.ok(existsSync(at(sourceOf(path))), path)
    assert.equal(sourceOf(entry['types'] as string), sourceOf(entry['default'] as string))
  }
})

test('`ottla` is a program', () => {
  assert.deepEqual(Object.keys(manifest.bin), ['ottla'])
  assert.ok(existsSync(at(sourceOf(manifest.bin['ottla'] as string))))
})

test('the licence is Apache-2.0, in the field and in the text', () => {
  assert.equal(manifest.license, 'Apache-2.0')
  assert.match(read('LICENSE'), /Apache License\s+Version 2\.0, January 2004/)
  assert.match(read('LICENSE'), /END OF TERMS AND CONDITIONS/)
})

test('the checksum module is the release that was measured, and no later one', () => {
  // docs/decisions/compression-libraries.md: the next one is a quarter as fast.
  assert.equal(manifest.optionalDependencies['@node-rs/crc32'], '1.10.7')
})

test('installing runs nothing', () => {
  const onInstall = [
    'preinstall',
    'install',
    'postinstall',
    'prepublish',
    'preprepare',
    'prepare',
    'postprepare',
  ]
  assert.deepEqual(
    Object.keys(manifest.scripts).filter((name) => onInstall.includes(name)),
    [],
  )
})

test('the oldest Node of `engines` is the oldest that the tools take, and of a version that is checked', () => {
  const [, major, minor] = /^>=(\d+)\.(\d+)$/.exec(manifest.engines.node) ?? []
  assert.equal(isCurrent(`${major}.${minor}.0`), true)
  assert.equal(isCurrent(`${major}.${Number(minor) - 1}.0`), false)
  // What tools/check-package.mjs goes through.
  assert.deepEqual(Object.keys(versions), [major, '24'])
  for (const version of Object.values(versions)) assert.ok(isCurrent(version), version)
})

test('the compiler is as strict as the sources are written for', () => {
  const { compilerOptions } = JSON.parse(read('tsconfig.json')) as {
    compilerOptions: Readonly<Record<string, unknown>>
  }
  for (const flag of [
    'strict',
    'noUncheckedIndexedAccess',
    'exactOptionalPropertyTypes',
    'verbatimModuleSyntax',
    'erasableSyntaxOnly',
  ]) {
    assert.equal(compilerOptions[flag], true, flag)
  }
})
