/** SaslHandshake (17): which mechanism is used. After version 0 bare tokens follow, after version 1 SaslAuthenticate. */
import { errorCode } from '../../protocol/error-codes.ts'
import { saslHandshake } from '../../protocol/messages/sasl-handshake.ts'
import type { Handler } from '../handler.ts'

export const saslHandshakeHandler: Handler<typeof saslHandshake> = {
  api: saslHandshake,
  versions: [0, 1],
  errors: [errorCode.ILLEGAL_SASL_STATE, errorCode.UNSUPPORTED_SASL_MECHANISM],
  handle({ mechanism }, { version, session }) {
    // A listener without SASL.
    if (session.sasl === undefined) return { errorCode: errorCode.ILLEGAL_SASL_STATE, mechanisms: [] }
    return session.sasl.handshake(mechanism, version)
  },
  refuse: (_request, code) => ({ errorCode: code, mechanisms: [] }),
}
