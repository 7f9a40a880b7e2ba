/** The help texts are a promise like the exports. OTTLA_UPDATE=1 writes them anew. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import type { Command } from 'commander'
import { program } from '../../src/cli/program.ts'

const snapshot = new URL('../golden/cli-help.txt', import.meta.url)

function* allCommands(command: Command, path: string): Generator<[path: string, command: Command]> {
  yield [path, command]
  for (const child of command.commands) yield* allCommands(child, `${path} ${child.name()}`)
}

test('the help of every command', () => {
  const texts = [...allCommands(program(), 'ottla')].map(([path, command]) => {
    command.configureOutput({ getOutHelpWidth: () => 100 })
    return `$ ${path} --help\n\n${command.helpInformation()}`
  })
  const all = texts.join('\n')
  if (process.env['OTTLA_UPDATE']) writeFileSync(snapshot, all)
  assert.equal(all, readFileSync(snapshot, 'utf8'))
})

test('no command takes a password or a token in its arguments', () => {
  for (const [, { options }] of allCommands(program(), 'ottla')) {
    assert.ok(!options.some(({ long }) => long === '--password' || long === '--sasl-token'))
  }
})
