/** All commands of `ottla`, put together. */
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
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
    .helpCommand('help [command]', 'how a command is used')
  for (const make of [devCommand, topicsCommand, produceCommand, consumeCommand, groupsCommand]) {
    root.addCommand(make())
  }
  root.addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.')
  // The same object, seen without the types of its flags.
  const plain = root as unknown as Command
  bringErrorsBack(plain)
  return plain
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

/** Errors come to the caller as exceptions, so that they are told in one place. */
function bringErrorsBack(target: Command): void {
  target.exitOverride()
  target.configureOutput({ outputError: () => undefined })
  for (const child of target.commands) bringErrorsBack(child)
}
