/**
 * How a command fails: one paragraph for a person, one JSON object for a machine, and an exit code. Never a stack
 * trace: what the user can do about it is in the message, and a bug in Ottla is named as one.
 */
import { CommanderError } from 'commander'
import { OttlaError, PartialFailureError } from '../index.ts'

export const exitCode = {
  ok: 0,
  /** The work failed, wholly or in part: a broker refused, a record was not delivered, a topic does not exist. */
  failed: 1,
  /** The command line, an environment variable or a file named there is wrong. */
  usage: 2,
  /** Ended by SIGINT, as shells count it. */
  interrupted: 130,
} as const

/** Something that the user wrote is wrong. */
export class UsageError extends Error {}

/** What to tell, and how to end. */
export interface Failure {
  readonly code: string
  readonly message: string
  readonly exit: number
}

export function failureOf(error: unknown): Failure {
  if (error instanceof UsageError) return { code: 'USAGE', message: error.message, exit: exitCode.usage }
  if (error instanceof CommanderError) {
    return { code: 'USAGE', message: usageMessage(error), exit: exitCode.usage }
  }
  if (error instanceof PartialFailureError) {
    const reasons = error.results.flatMap(({ error: reason }) =>
      reason === undefined ? [] : [sentence(reason)],
    )
    const message = `${reasons.length} of ${error.results.length} failed: ${reasons.join(' ')}`
    return { code: error.code, message, exit: exitCode.failed }
  }
  if (error instanceof OttlaError) {
    const exit = error.code === 'INVALID_OPTION' ? exitCode.usage : exitCode.failed
    return { code: error.code, message: plainWords(error) ?? paragraph(error), exit }
  }
  if (error instanceof Error) {
    const code = 'code' in error && typeof error.code === 'string' ? error.code : 'ERROR'
    return { code, message: paragraph(error), exit: exitCode.failed }
  }
  return { code: 'ERROR', message: String(error), exit: exitCode.failed }
}

function usageMessage(error: CommanderError): string {
  const message = error.message.replace(/^error: /, '')
  const secret = secrets.find(({ flag }) => message.includes(`'${flag}'`))
  return secret === undefined
    ? message
    : `${message}\nA ${secret.what} in the command line is shown to everyone on the machine: ${secret.instead}.`
}

/** Flags that are not there on purpose. */
const secrets = [
  {
    flag: '--password',
    what: 'password',
    instead: 'set KAFKA_PASSWORD, or name a file with --password-file',
  },
  {
    flag: '--sasl-token',
    what: 'token',
    instead: 'set KAFKA_SASL_TOKEN, or name a file with --sasl-token-file',
  },
] as const

/** What happens every day, said without the protocol. */
function plainWords({ code, topic, partition, groupId }: OttlaError): string | undefined {
  if (topic !== undefined && code === 'UNKNOWN_TOPIC_OR_PARTITION') {
    return partition === undefined
      ? `There is no topic ${topic}.`
      : `There is no partition ${partition} of ${topic}.`
  }
  if (topic !== undefined && code === 'TOPIC_ALREADY_EXISTS') return `There is a topic ${topic} already.`
  if (groupId !== undefined && code === 'GROUP_ID_NOT_FOUND') return `There is no group ${groupId}.`
  if (groupId !== undefined && code === 'NON_EMPTY_GROUP') return `Group ${groupId} still has members.`
  return undefined
}

const sentence = (error: OttlaError): string => {
  const text = plainWords(error) ?? paragraph(error)
  return text.endsWith('.') ? text : `${text}.`
}

/** The message with the causes that it does not say already. */
function paragraph(error: Error): string {
  const parts = [error.message]
  let cause = error.cause
  for (let depth = 0; depth < 4 && cause instanceof Error; depth++) {
    const { message } = cause
    // Of several causes the first one stands for all.
    const isSaid = cause instanceof AggregateError || parts.some((part) => part.includes(message))
    if (message !== '' && !isSaid) parts.push(message)
    cause = cause instanceof AggregateError ? cause.errors[0] : cause.cause
  }
  return parts.join(': ').replaceAll(/\s*\n\s*/g, ' ')
}

/** What stderr gets of a failure, without the line feed. */
export const failureText = ({ code, message }: Pick<Failure, 'code' | 'message'>, json: boolean): string =>
  json ? JSON.stringify({ error: { code, message } }) : `ottla: ${message}`

export function tellFailure(failure: Failure, json: boolean): void {
  process.stderr.write(`${failureText(failure, json)}\n`)
}
