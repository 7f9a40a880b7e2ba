/** What the demo ends with: every record counted, and the exit code that follows from it. */
import { count, plural } from '../src/cli/output.ts'
import { tellFindings, type Verdict } from '../test/support/history/index.ts'

/** Prints the figures, and what is wrong if anything is. Returns the exit code: 0 when every promise was kept, else 1. */
export function report(
  { ok, figures, findings }: Verdict,
  reader: { readonly name: string; readonly foreign: boolean },
  print: (line: string) => void,
): 0 | 1 {
  const line = (value: number, what: string) => print(`${count(value).padStart(11)}  ${what}`)
  print('')
  line(figures.sent, 'sent')
  line(
    figures.acknowledged,
    `acknowledged, ${count(figures.failed)} failed, ${count(figures.unknown)} unknown`,
  )
  line(
    figures.inLog,
    `in the log, read with ${reader.name}${reader.foreign ? '' : ' (no other client is installed: with its own reader)'}`,
  )
  line(figures.handled, `handled, ${plural(figures.redelivered, 'time')} again after the kill`)
  print('')
  line(figures.lost, 'lost')
  line(figures.duplicated, 'duplicated in the log')
  line(figures.outOfOrder, 'out of order')
  line(figures.unhandled, 'not handled')
  if (!ok) print(`\nThe history breaks its promises:\n${tellFindings(findings)}`)
  return ok ? 0 : 1
}
