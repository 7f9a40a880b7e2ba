/** SaslAuthenticate (36): a token of the mechanism that the handshake named. */
import { errorCode, errorName } from '../../protocol/error-codes.ts'
import { saslAuthenticate } from '../../protocol/messages/sasl-authenticate.ts'
import type { Handler } from '../handler.ts'

const NOT_EXPECTED = 'SaslAuthenticate request received after successful authentication'

export const saslAuthenticateHandler: Handler<typeof saslAuthenticate> = {
  api: saslAuthenticate,
  versions: [0, 2],
  errors: [errorCode.ILLEGAL_SASL_STATE, errorCode.SASL_AUTHENTICATION_FAILED],
  handle({ authBytes }, { session }) {
    if (session.sasl !== undefined) return session.sasl.authenticate(authBytes)
    // A listener without SASL.
    return refused(errorCode.ILLEGAL_SASL_STATE, NOT_EXPECTED)
  },
  refuse: (_request, code) => refused(code, errorName(code)),
}

const refused = (code: number, errorMessage: string) => ({
  errorCode: code,
  errorMessage,
  authBytes: Buffer.alloc(0),
  sessionLifetimeMs: 0,
})
