/**
 * A token provider for Amazon MSK with IAM: what the broker wants is a presigned request (AWS Signature Version 4),
 * made here with `node:crypto` alone.
 *
 *     import { Kafka } from 'ottla'
 *     import { credentialsFromEnv, mskIamToken } from './msk-iam-token.ts'
 *
 *     const token = () => mskIamToken({ region: 'eu-central-1', credentials: credentialsFromEnv() })
 *     const kafka = new Kafka({ brokers: 'b-1.demo.kafka.eu-central-1.amazonaws.com:9098', tls: true, sasl: { mechanism: 'OAUTHBEARER', token } })
 *
 * Ottla asks for a token for each authentication, also before a session ends, so credentials that change (a role, an
 * instance profile) are taken when `credentials` comes from a provider that is asked each time: that of the AWS SDK,
 * `fromNodeProviderChain()`, gives the same three fields.
 */
import { createHash, createHmac } from 'node:crypto'
import type { OauthToken } from 'ottla'

export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

/** A request that carries its signature in its query: GET, signed for the host only. */
export interface PresignedRequest {
  readonly host: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly region: string
  readonly service: string
  readonly credentials: AwsCredentials
  /** Milliseconds since 1970. */
  readonly now: number
  readonly expiresSeconds: number
  /** The digest of the body, in hexadecimal. Default: of no body. */
  readonly bodyHash?: string
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()

/** As RFC 3986 has it: encodeURIComponent leaves five characters that AWS wants encoded. */
const encode = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`)

/** The URL, with its signature as the last parameter. */
export function presign(request: PresignedRequest): string {
  const { host, path, region, service, credentials, expiresSeconds } = request
  const time = new Date(request.now).toISOString().replace(/[-:]|\.\d+/g, '')
  const day = time.slice(0, 8)
  const scope = `${day}/${region}/${service}/aws4_request`
  const parameters: Record<string, string> = {
    ...request.query,
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${credentials.accessKeyId}/${scope}`,
    'X-Amz-Date': time,
    'X-Amz-Expires': String(expiresSeconds),
    ...(credentials.sessionToken === undefined ? {} : { 'X-Amz-Security-Token': credentials.sessionToken }),
    'X-Amz-SignedHeaders': 'host',
  }
  const query = Object.keys(parameters)
    .sort()
    .map((name) => `${encode(name)}=${encode(parameters[name] as string)}`)
    .join('&')
  const canonical = ['GET', path, query, `host:${host}`, '', 'host', request.bodyHash ?? sha256('')].join(
    '\n',
  )
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n')
  const key = [region, service, 'aws4_request'].reduce(
    (above, part) => hmac(above, part),
    hmac(`AWS4${credentials.secretAccessKey}`, day),
  )
  return `https://${host}${path}?${query}&X-Amz-Signature=${hmac(key, toSign).toString('hex')}`
}

/** What MSK takes as a token: the presigned `kafka-cluster:Connect`, good for 15 minutes, in base64url. */
export function mskIamToken(options: {
  readonly region: string
  readonly credentials: AwsCredentials
  /** Milliseconds since 1970. Default: now. */
  readonly now?: number
}): OauthToken {
  const { region, credentials, now = Date.now() } = options
  const url = presign({
    host: `kafka.${region}.amazonaws.com`,
    path: '/',
    query: { Action: 'kafka-cluster:Connect' },
    region,
    service: 'kafka-cluster',
    credentials,
    now,
    expiresSeconds: 900,
  })
  // The name of the client is not part of what is signed.
  return { value: Buffer.from(`${url}&User-Agent=ottla`).toString('base64url') }
}

/** The variables that every tool of AWS reads. */
export function credentialsFromEnv(environment: NodeJS.ProcessEnv = process.env): AwsCredentials {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = environment
  if (!AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY) {
    throw new Error('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set')
  }
  return {
    accessKeyId: AWS_ACCESS_KEY_ID,
    secretAccessKey: AWS_SECRET_ACCESS_KEY,
    ...(AWS_SESSION_TOKEN ? { sessionToken: AWS_SESSION_TOKEN } : {}),
  }
}
