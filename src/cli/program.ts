/** All commands of `ottla`, put together. */
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { nearest } from '../util/options.ts'
import { command } from './command.ts'
import { consumeCommand } from './consume.ts'
import { devCommand } from './dev.ts'
import { groupsCommand } from './groups.ts'
import { produceCommand } from './produce.ts'
import { topicsCommand } from './topics.ts'

export function program(): Command {
  const root = command('ottla')
    .description('Kafka from the command line, and a Kafka to develop with.')
    .version(version(), '-V, --version')
  for (const make of [devCommand, topicsCommand, produceCommand, consumeCommand, groupsCommand]) {
    root.addCommand(make())
  }
  root.addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.')
  // The same object, seen without the types of its flags.
  const plain = root as unknown as Command
  addHelp(plain)
  bringErrorsBack(plain)
  return plain
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

/** `help` of a command that has others. Commander's own answers a name that it does not know with its whole help. */
function addHelp(target: Command): void {
  const children = [...target.commands]
  if (children.length === 0) return
  for (const child of children) addHelp(child)
  const help = command('help').argument('[command...]').description('how a command is used')
  target.addCommand(help.action((names) => find(target, names).help()) as unknown as Command)
}

function find(target: Command, [name, ...rest]: readonly string[]): Command {
  if (name === undefined) return target
  const child = target.commands.find((each) => each.name() === name)
  if (child !== undefined) return find(child, rest)
  const known = target.commands.map((each) => each.name())
  if (known.length === 0) return target.error(`'${target.name()}' has no command '${name}'`)
  const near = nearest(name, known)
  const advice = near === undefined ? `Known are ${known.join(', ')}.` : `Did you mean ${near}?`
  return target.error(`unknown command '${name}'\n(${advice})`)
}

/** Errors come to the caller as exceptions, so that they are told in one place. */
function bringErrorsBack(target: Command): void {
  target.exitOverride()
  target.configureOutput({ outputError: () => undefined })
  for (const child of target.commands) bringErrorsBack(child)
}
