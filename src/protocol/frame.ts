/**
 * Whole frames: a size, a header, a body.
 *
 *     request  | int32 size | key | version | correlationId | clientId | (tags) | body |
 *     response | int32 size | correlationId | (tags) | body |
 *
 * Header versions follow KIP-482: flexible messages have tagged fields in their headers too, but the response
 * header of ApiVersions (18) has none in any version, so that a client can read it before it knows the version.
 */
import { OttlaError } from '../errors.ts'
import { compileDecoder, compileEncoder, type Decode, type Encode } from './codec.ts'
import type { Reader } from './reader.ts'
import type { Api, Fields, ReceivedRequestOf, RequestOf, ResponseOf, SentResponseOf } from './schema.ts'
import { Writer } from './writer.ts'

const API_VERSIONS = 18

interface Codec {
  readonly encode: Encode
  readonly decode: Decode
}

const codecs = new WeakMap<Fields, (Codec | undefined)[]>()

/** The codec of one direction of an API in one version; compiled when first used. */
function codecOf(fields: Fields, api: Api, version: number): Codec {
  let versions = codecs.get(fields)
  if (versions === undefined) codecs.set(fields, (versions = []))
  let codec = versions[version]
  if (codec === undefined) {
    if (version < api.versions[0] || version > api.versions[1]) {
      throw new OttlaError('UNSUPPORTED_VERSION', `${api.name} has no version ${version}`, { api: api.name })
    }
    const flexible = version >= api.flexible
    let encode: Encode | undefined
    let decode: Decode | undefined
    codec = {
      encode: (writer, value) => (encode ??= compileEncoder(fields, version, flexible))(writer, value),
      decode: (reader) => (decode ??= compileDecoder(fields, version, flexible))(reader),
    }
    versions[version] = codec
  }
  return codec
}

export interface RequestHeader {
  readonly apiKey: number
  readonly apiVersion: number
  readonly correlationId: number
  readonly clientId: string | null
}

/** A request as pieces ready for the socket. */
export function encodeRequest<A extends Api>(
  api: A,
  header: Omit<RequestHeader, 'apiKey'>,
  body: RequestOf<A>,
): Uint8Array[] {
  const { apiVersion, correlationId, clientId } = header
  const writer = new Writer()
  writer.int32(0)
  writer.int16(api.key)
  writer.int16(apiVersion)
  writer.int32(correlationId)
  writeClientId(writer, clientId)
  if (apiVersion >= api.flexible) writer.varuint(0)
  codecOf(api.request, api, apiVersion).encode(writer, body)
  return writer.finishFrame()
}

/** A process mostly has one, and every request carries it. */
let lastClientId: { readonly text: string; readonly bytes: Buffer } | undefined

function writeClientId(writer: Writer, clientId: string | null): void {
  if (clientId === null) return writer.int16(-1)
  if (lastClientId?.text !== clientId) lastClientId = { text: clientId, bytes: Buffer.from(clientId) }
  writer.int16(lastClientId.bytes.length)
  writer.raw(lastClientId.bytes)
}

/** Reads the fixed part of a request's header, which is the same in every version. */
export function decodeRequestHeader(reader: Reader): RequestHeader {
  const apiKey = reader.int16()
  const apiVersion = reader.int16()
  const correlationId = reader.int32()
  const length = reader.int16()
  return { apiKey, apiVersion, correlationId, clientId: length < 0 ? null : reader.text(length) }
}

/** Reads the rest of a request, the reader standing behind the fixed part of its header. */
export function decodeRequest<A extends Api>(api: A, version: number, reader: Reader): ReceivedRequestOf<A> {
  const codec = codecOf(api.request, api, version)
  if (version >= api.flexible) skipTags(reader)
  return codec.decode(reader) as ReceivedRequestOf<A>
}

/** A response as pieces ready for the socket. */
export function encodeResponse<A extends Api>(
  api: A,
  version: number,
  answer: { readonly correlationId: number; readonly body: SentResponseOf<A> },
): Uint8Array[] {
  const writer = new Writer()
  writer.int32(0)
  writer.int32(answer.correlationId)
  if (version >= api.flexible && api.key !== API_VERSIONS) writer.varuint(0)
  codecOf(api.response, api, version).encode(writer, answer.body)
  return writer.finishFrame()
}

/** Reads the rest of a response, the reader standing behind its correlation id. */
export function decodeResponse<A extends Api>(api: A, version: number, reader: Reader): ResponseOf<A> {
  const codec = codecOf(api.response, api, version)
  if (version >= api.flexible && api.key !== API_VERSIONS) skipTags(reader)
  return codec.decode(reader) as ResponseOf<A>
}

function skipTags(reader: Reader): void {
  for (let left = reader.varuint(); left > 0; left--) {
    reader.varuint()
    reader.take(reader.varuint())
  }
}
