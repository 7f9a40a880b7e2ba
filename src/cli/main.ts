#!/usr/bin/env node
/** The `ottla` command. */
import { CommanderError } from 'commander'
import { exitCode, failureOf, tellFailure } from './failure.ts'
import { program } from './program.ts'

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
