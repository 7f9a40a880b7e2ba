/** What a SASL mechanism is to the connection: a short exchange of byte strings. */
import type { Address } from '../dial.ts'

/** One run of a mechanism, for one authentication. */
export interface SaslExchange {
  /** The client's first message. */
  first(): Buffer
  /** Answers a challenge of the broker; undefined when there is nothing more to say. Throws when it is wrong. */
  next(challenge: Buffer): Buffer | undefined
  /** Checks that the exchange is complete, once the broker says that it is. Throws when the broker has not proved itself. */
  finish(): void
  /** What a challenge gave as the reason of a refusal, when that comes before the broker's error. */
  refusal?(): string | undefined
  /** The secrets of this run, to be struck out of what a broker says. */
  readonly secrets: readonly string[]
}

/** Resolved credentials. They live in closures: nothing that can be seen holds them. */
export interface SaslSettings {
  /** Kafka's name of the mechanism: `SCRAM-SHA-512`. */
  readonly mechanism: string
  begin(broker: Address): SaslExchange | Promise<SaslExchange>
}
