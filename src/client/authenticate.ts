/**
 * Proves to a broker who we are: SaslHandshake (API key 17), then SaslAuthenticate (36) until the mechanism is done.
 *
 * Used when a connection opens and again before its session ends (KIP-368); the requests are the same.
 */
import { OttlaError } from '../errors.ts'
import { errorCode, errorName } from '../protocol/error-codes.ts'
import { saslAuthenticate, saslHandshake } from '../protocol/messages/index.ts'
import type { Api, RequestOf, ResponseOf } from '../protocol/schema.ts'
import { type Address, formatAddress } from './dial.ts'
import type { SaslExchange, SaslSettings } from './sasl/mechanism.ts'

export interface SaslTransport {
  readonly address: Address
  request<A extends Api>(api: A, body: RequestOf<A>): Promise<ResponseOf<A>>
}

/** A mechanism is done in three messages at most; a broker that goes on asking is not one. */
const MAX_ROUNDS = 8

/** Resolves to the session's lifetime in milliseconds, 0 when it has no end. */
export async function authenticate(sasl: SaslSettings, transport: SaslTransport): Promise<number> {
  const broker = formatAddress(transport.address)
  const exchange = await sasl.begin(transport.address)
  const redact = (text: string) => strikeOut(text, exchange.secrets)
  const refused = (message: string, retriable = false) =>
    new OttlaError('SASL_FAILED', `${sasl.mechanism} at ${broker}: ${redact(message)}`, { retriable, broker })

  const handshake = await transport.request(saslHandshake, { mechanism: sasl.mechanism })
  if (handshake.errorCode !== 0) {
    const { mechanisms } = handshake
    const offered =
      mechanisms.length > 0
        ? `the broker offers ${mechanisms.join(', ')}`
        : 'this port of the broker takes no SASL'
    throw refused(`${errorName(handshake.errorCode)}; ${offered}`)
  }
  try {
    return await exchangeMessages(exchange, transport, refused)
  } catch (error) {
    if (!(error instanceof OttlaError) || error.code !== 'SASL_FAILED' || error.broker !== undefined)
      throw error
    throw refused(error.message, error.retriable)
  }
}

async function exchangeMessages(
  exchange: SaslExchange,
  transport: SaslTransport,
  refused: (message: string, retriable?: boolean) => OttlaError,
): Promise<number> {
  let message: Buffer | undefined = exchange.first()
  for (let round = 0; message !== undefined; round++) {
    if (round === MAX_ROUNDS) throw refused('the broker never ends the exchange')
    const answer: ResponseOf<typeof saslAuthenticate> = await transport.request(saslAuthenticate, {
      authBytes: message,
    })
    if (answer.errorCode !== 0) {
      const retriable = answer.errorCode === errorCode.REQUEST_TIMED_OUT
      throw refused(`${errorName(answer.errorCode)}: ${reasonOf(answer.errorMessage, exchange)}`, retriable)
    }
    message = exchange.next(answer.authBytes)
    if (message === undefined) {
      exchange.finish()
      return answer.sessionLifetimeMs
    }
  }
  return 0
}

/** What the broker said with its error, and in the challenge before it. */
function reasonOf(errorMessage: string | null, exchange: SaslExchange): string {
  const message = errorMessage ?? ''
  const refusal = exchange.refusal?.() ?? ''
  if (refusal === '' || message.includes(refusal)) return message
  return message === '' ? refusal : `${message}: ${refusal}`
}

/** A broker may say what it was told: secrets never reach an error. */
function strikeOut(text: string, secrets: readonly string[]): string {
  let clean = text
  for (const secret of secrets) {
    if (secret === '') continue
    clean = clean.replaceAll(secret, '***').replaceAll(Buffer.from(secret).toString('base64'), '***')
  }
  return clean
}
