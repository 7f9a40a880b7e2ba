/** TLS over an accepted stream, real socket or not. */

import type { Duplex } from 'node:stream'
import { createSecureContext, TLSSocket } from 'node:tls'
import type { Secure } from './listener.ts'
import type { TlsOption } from './options.ts'

/** The certificate is read once; each connection then has its own TLS. */
export function secureWith(option: TlsOption): Secure {
  const { key, cert, ca, requestCert = false } = option
  const secureContext = createSecureContext({
    key,
    cert,
    ...(ca === undefined ? {} : { ca: [ca].flat() as (string | Buffer)[] }),
  })
  return (stream: Duplex) =>
    new TLSSocket(stream, { isServer: true, secureContext, requestCert, rejectUnauthorized: requestCert })
}
