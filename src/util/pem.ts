/** Certificates and keys as text. What is refused is never shown: it may be a key in the wrong place. */
import { type Check, is } from './options.ts'

export type Pem = string | Uint8Array

const CERTIFICATE = /-----BEGIN (?:[A-Z0-9]+ )?CERTIFICATE-----/
const PRIVATE_KEY = /-----BEGIN (?:[A-Z0-9]+ )?PRIVATE KEY-----/

/** OpenSSL takes an authority that is none for an empty list, and then trusts nobody; a key that is none fails in its own words. */
const pemOf =
  (what: string, pattern: RegExp): Check<Pem> =>
  (value, fail) => {
    if (typeof value !== 'string' && !(value instanceof Uint8Array)) return fail('PEM text or its bytes')
    const text = typeof value === 'string' ? value : Buffer.from(value).toString('latin1')
    if (pattern.test(text)) return value
    // Only what has the ending of a file: anything else may be a key in the wrong place, and is not to be shown.
    const isPath = text.length < 4_096 && /\.(?:pem|crt|cer|cert|key|txt)$/i.test(text.trim())
    const advice = isPath ? '; this looks like a path: give what the file holds' : ''
    return fail(`PEM text or its bytes, and there is no ${what} in it${advice}`)
  }

export const certificate = pemOf('certificate', CERTIFICATE)
export const privateKey = pemOf('private key', PRIVATE_KEY)

const certificateList = is.list(certificate, 'PEM texts')

/** One PEM or several. Of none nobody would be trusted, instead of whom Node trusts. */
export const certificates: Check<Pem | readonly Pem[]> = (value, fail) => {
  if (!Array.isArray(value)) return certificate(value, fail)
  return value.length > 0 ? certificateList(value, fail) : fail('PEM text, or a list of at least one')
}

/** As Node takes it. */
export const pemBytes = (value: Pem): string | Buffer =>
  typeof value === 'string' ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
