#!/usr/bin/env node
/** The `ottla` command: its commands, and how all of them end. */
import { readFileSync } from 'node:fs'
import { type Command, CommanderError } from 'commander'
import { command } from './command.ts'
import { consumeCommand } from './consume.ts'
import { devCommand } from './dev.ts'
import { exitCode, failureOf, tellFailure } from './failure.ts'
import { groupsCommand } from './groups.ts'
import { produceCommand } from './produce.ts'
import { topicsCommand } from './topics.ts'

const version = (): string => {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

const program = () => {
  const root = command('ottla')
    .description('Kafka from the command line, and a Kafka to develop with.')
    .version(version(), '-V, --version')
    .helpCommand('help [command]', 'how a command is used')
  for (const make of [devCommand, topicsCommand, produceCommand, consumeCommand, groupsCommand]) {
    root.addCommand(make())
  }
  // The same object, seen without the types of its flags.
  configure(root as unknown as Command)
  return root.addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.')
}

/** Errors come back to `main` as exceptions, so that they are told in one place. */
function configure(target: Pick<Command, 'exitOverride' | 'configureOutput' | 'commands'>): void {
  target.exitOverride()
  target.configureOutput({ outputError: () => undefined })
  for (const child of target.commands) configure(child)
}

async function main(args: readonly string[]): Promise<void> {
  try {
    await program().parseAsync([...args], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError && isHelp(error)) {
      process.exitCode = error.exitCode === 0 ? exitCode.ok : exitCode.usage
      return
    }
    const failure = failureOf(error)
    tellFailure(failure, args.includes('--json'))
    process.exitCode = failure.exit
  }
}

/** Commander ends `--help` and `--version` as errors too; their text has been written. */
const isHelp = ({ code }: CommanderError) =>
  code === 'commander.help' || code === 'commander.helpDisplayed' || code === 'commander.version'

await main(process.argv.slice(2))
