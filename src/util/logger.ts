/**
 * What Ottla logs to, when it is given something: the part of pino that most loggers share. An error is the field `err`, by
 * which pino prints it with its stack and cause, and bunyan with its standard serializers.
 */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

const nothing = () => undefined

/** The default: Ottla is silent, and tells through errors, reports and events. */
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }
