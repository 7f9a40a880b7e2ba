/**
 * Short-lived certificates for tests: an authority, a server's for localhost and 127.0.0.1, a client's.
 *
 * Written as DER by hand (X.509 v3, P-256, RFC 5280), because Node can sign but not make a certificate and openssl
 * is not everywhere. Not for anything but tests: the authority's key lives in memory and is thrown away.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'

export interface PemPair {
  readonly certificate: string
  readonly key: string
}

export interface TestCertificates {
  readonly authority: PemPair
  readonly server: PemPair
  readonly client: PemPair
}

const tag = {
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  time: 0x18,
  sequence: 0x30,
  set: 0x31,
}

const der = (kind: number, ...parts: Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts)
  if (body.length < 0x80) return Buffer.concat([Buffer.from([kind, body.length]), body])
  const length = body.length < 0x100 ? [0x81, body.length] : [0x82, body.length >> 8, body.length & 0xff]
  return Buffer.concat([Buffer.from([kind, ...length]), body])
}

const bytes = (...values: number[]) => Buffer.from(values)
const sequence = (...parts: Uint8Array[]) => der(tag.sequence, ...parts)

const oids = {
  commonName: bytes(0x55, 0x04, 0x03),
  ecdsaWithSha256: bytes(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02),
  basicConstraints: bytes(0x55, 0x1d, 0x13),
  subjectAltName: bytes(0x55, 0x1d, 0x11),
}
const signatureAlgorithm = sequence(der(tag.oid, oids.ecdsaWithSha256))

const distinguishedName = (commonName: string) =>
  sequence(der(tag.set, sequence(der(tag.oid, oids.commonName), der(tag.utf8, Buffer.from(commonName)))))

/** GeneralizedTime: `YYYYMMDDHHMMSSZ`. */
const time = (at: Date) =>
  der(tag.time, Buffer.from(`${at.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`))

const extension = (oid: Uint8Array, value: Uint8Array) => sequence(der(tag.oid, oid), der(tag.octets, value))

interface Subject {
  readonly commonName: string
  readonly publicKey: KeyObject
  readonly authority: boolean
}

function certificate(subject: Subject, issuerName: string, issuerKey: KeyObject): string {
  const serial = randomBytes(16)
  serial[0] = 0x40 | (serial[0]! & 0x3f)
  const dayMs = 86_400_000
  const now = Date.now()
  const dns = der(0x82, Buffer.from('localhost'))
  const ip = der(0x87, bytes(127, 0, 0, 1))
  const extensions = subject.authority
    ? extension(oids.basicConstraints, sequence(der(0x01, bytes(0xff))))
    : extension(oids.subjectAltName, sequence(dns, ip))
  const body = sequence(
    der(0xa0, der(tag.integer, bytes(2))),
    der(tag.integer, serial),
    signatureAlgorithm,
    distinguishedName(issuerName),
    sequence(time(new Date(now - dayMs)), time(new Date(now + 30 * dayMs))),
    distinguishedName(subject.commonName),
    subject.publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(extensions)),
  )
  const signature = sign('sha256', body, issuerKey)
  const whole = sequence(body, signatureAlgorithm, der(tag.bits, bytes(0), signature))
  const base64 = whole.toString('base64').replace(/.{64}/g, '$&\n').trimEnd()
  return `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`
}

const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }).toString()

/** A fresh authority with one server and one client certificate, good for 30 days. */
export function testCertificates(): TestCertificates {
  const authorityName = 'Ottla test authority'
  const authorityKey = newKey()
  const issue = (commonName: string, key: KeyObject, authority: boolean): PemPair => ({
    certificate: certificate(
      { commonName, publicKey: createPublicKey(key), authority },
      authorityName,
      authorityKey,
    ),
    key: pem(key),
  })
  return {
    authority: issue(authorityName, authorityKey, true),
    server: issue('localhost', newKey(), false),
    client: issue('ottla-client', newKey(), false),
  }
}
