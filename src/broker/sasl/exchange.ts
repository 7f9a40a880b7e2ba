/** One run of a SASL mechanism on the server's side: tokens in, tokens out, until somebody is known or refused. */

export type ExchangeStep =
  | { readonly kind: 'challenge'; readonly token: Buffer }
  | { readonly kind: 'done'; readonly token: Buffer; readonly principal: string }
  /** `message` goes to the client: it never says which of name and password was wrong. */
  | { readonly kind: 'failed'; readonly message: string }

export interface Exchange {
  step(token: Buffer): ExchangeStep
}

export const failed = (message: string): ExchangeStep => ({ kind: 'failed', message })
