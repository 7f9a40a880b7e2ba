#!/usr/bin/env node
/** The `ottla` command. */
import { CommanderError } from 'commander'
import { exitCode, failureOf, tellFailure } from './failure.ts'
import { program } from './program.ts'

const args = process.argv.slice(2)

async function main(): Promise<void> {
  try {
    await program().parseAsync([...args], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError && isHelp(error)) {
      process.exitCode = error.exitCode === 0 ? exitCode.ok : exitCode.usage
      return
    }
    fail(error)
  }
}

let isTold = false

function fail(error: unknown): void {
  const failure = failureOf(error)
  if (!isTold) tellFailure(failure, args.includes('--json'))
  isTold = true
  process.exitCode = failure.exit
}

/** Commander ends `--help` and `--version` as errors too; their text has been written. */
const isHelp = ({ code }: CommanderError) =>
  code === 'commander.help' || code === 'commander.helpDisplayed' || code === 'commander.version'

// A reader that is gone, as in `ottla topics list | head`, has seen enough: no reason to complain.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') fail(error)
})
// Nobody is left to be told.
process.stderr.on('error', () => undefined)

await main()
