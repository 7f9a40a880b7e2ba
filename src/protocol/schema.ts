/**
 * The words in which a message is described: one table of fields per message, from which the encoder, the
 * decoder and the TypeScript types of both directions come.
 *
 *     { topicId: uuid({ since: 13 }), name: string({ until: 12 }), partitions: array({ … }) }
 *
 * The order of the keys is the order on the wire. `since` and `until` are versions of the API, both inclusive.
 * Types: what is decoded has every field (one that its version does not carry has its default); what is encoded
 * may leave out each field that has a default, a version range or a tag.
 */

declare const shape: unique symbol

/** What a field is on the wire. */
export type WireType =
  | {
      readonly kind:
        | 'bool'
        | 'int8'
        | 'int16'
        | 'uint16'
        | 'int32'
        | 'uint32'
        | 'int64'
        | 'timestamp'
        | 'float64'
    }
  | { readonly kind: 'string' | 'bytes' | 'records' | 'uuid' }
  | { readonly kind: 'array'; readonly element: WireType }
  | { readonly kind: 'struct'; readonly fields: Fields }

export interface Field<Out = unknown, In = unknown, Optional extends boolean = boolean> {
  readonly type: WireType
  readonly since: number
  readonly until: number
  /** First version in which null may stand here; Infinity when never. */
  readonly nullable: number
  /** The tag number, or -1 for a field with a fixed place. */
  readonly tag: number
  readonly default: unknown
  /** Whether a value other than the default may be dropped silently in a version without the field. */
  readonly ignorable: boolean
  readonly [shape]?: { readonly out: Out; readonly in: In; readonly optional: Optional }
}

export type Fields = { readonly [name: string]: Field }

export interface FieldOptions<T> {
  readonly since?: number
  readonly until?: number
  readonly nullable?: number
  readonly tag?: number
  readonly default?: T | null
  readonly ignorable?: boolean
}

type None = Record<never, never>
type Null<O> = O extends { readonly nullable: number } ? null : never
type IsOptional<O> = O extends
  | { readonly default: unknown }
  | { readonly since: number }
  | { readonly until: number }
  | { readonly tag: number }
  ? true
  : false
type Of<Out, In, O> = Field<Out | Null<O>, In | Null<O>, IsOptional<O>>

type OutOf<F> = F extends Field<infer Out, unknown, boolean> ? Out : never
type InOf<F> = F extends { readonly [shape]?: { readonly in: infer In } } ? In : never
type OptionalKeys<S extends Fields> = {
  [K in keyof S]: S[K] extends { readonly [shape]?: { readonly optional: true } } ? K : never
}[keyof S]

/** What the decoder gives for these fields. */
export type Decoded<S extends Fields> = { -readonly [K in keyof S]: OutOf<S[K]> }
/** What the encoder takes for these fields. */
export type Encodable<S extends Fields> = {
  readonly [K in Exclude<keyof S, OptionalKeys<S>>]: InOf<S[K]>
} & { readonly [K in OptionalKeys<S>]?: InOf<S[K]> | undefined }

/** Bytes as a caller may hand them over: whole, or in pieces that are sent one after the other. */
export type Bytes = Uint8Array | readonly Uint8Array[]

const field = (type: WireType, implied: unknown, options: FieldOptions<unknown> = {}): Field => ({
  type,
  since: options.since ?? 0,
  until: options.until ?? Number.POSITIVE_INFINITY,
  nullable: options.nullable ?? Number.POSITIVE_INFINITY,
  tag: options.tag ?? -1,
  default: options.default === undefined ? implied : options.default,
  ignorable: options.ignorable ?? false,
})

type Builder<Out, In = Out> = <const O extends FieldOptions<In> = None>(options?: O) => Of<Out, In, O>

const scalar = <Out, In = Out>(kind: Exclude<WireType['kind'], 'array' | 'struct'>, implied: unknown) =>
  ((options?: FieldOptions<unknown>) => field({ kind }, implied, options)) as Builder<Out, In>

export const bool = scalar<boolean>('bool', false)
export const int8 = scalar<number>('int8', 0)
export const int16 = scalar<number>('int16', 0)
export const uint16 = scalar<number>('uint16', 0)
export const int32 = scalar<number>('int32', 0)
export const uint32 = scalar<number>('uint32', 0)
/** Offsets, ids, sizes: a number; beyond 2^53 it is refused with NUMBER_OUT_OF_RANGE, never rounded. */
export const int64 = scalar<number>('int64', 0)
/** Milliseconds since 1970: a number that saturates at ±2^53 - 1. */
export const timestamp = scalar<number>('timestamp', 0)
export const float64 = scalar<number>('float64', 0)
export const string = scalar<string>('string', '')
/** Decoded as a view over the response. */
export const bytes = scalar<Buffer, Bytes>('bytes', Buffer.alloc(0))
/** Record batches, as they stand on the wire. Decoded as a view over the response. */
export const records = scalar<Buffer, Bytes>('records', null)
export const zeroUuid = 'AAAAAAAAAAAAAAAAAAAAAA'
/** Kafka's own text form of 16 bytes: URL-safe base64 without padding. */
export const uuid = scalar<string>('uuid', zeroUuid)

type ElementOut<E> = E extends Field ? OutOf<E> : E extends Fields ? Decoded<E> : never
type ElementIn<E> = E extends Field ? InOf<E> : E extends Fields ? Encodable<E> : never

const isField = (value: Field | Fields): value is Field => 'type' in value && 'since' in value

/** An array of a plain type, `array(int32())`, or of structs, `array({ … })`. */
export function array<
  const E extends Field | Fields,
  const O extends FieldOptions<readonly ElementIn<E>[]> = None,
>(element: E, options?: O): Of<ElementOut<E>[], readonly ElementIn<E>[], O> {
  const type: WireType = isField(element) ? element.type : { kind: 'struct', fields: element }
  return field({ kind: 'array', element: type }, EMPTY, options) as Of<
    ElementOut<E>[],
    readonly ElementIn<E>[],
    O
  >
}

export function struct<const S extends Fields, const O extends FieldOptions<Encodable<S>> = None>(
  fields: S,
  options?: O,
): Of<Decoded<S>, Encodable<S>, O> {
  return field({ kind: 'struct', fields }, undefined, options) as Of<Decoded<S>, Encodable<S>, O>
}

const EMPTY: readonly never[] = Object.freeze([])

/** One API: a request and its response, over a range of versions. */
export interface Api<Req extends Fields = Fields, Res extends Fields = Fields> {
  readonly key: number
  /** Kafka's name: `Produce`. */
  readonly name: string
  /** The versions that the table describes, both inclusive. */
  readonly versions: readonly [lowest: number, highest: number]
  /** First flexible version (KIP-482: compact types and tagged fields); Infinity when none. */
  readonly flexible: number
  readonly request: Req
  readonly response: Res
}

export const defineApi = <const Req extends Fields, const Res extends Fields>(
  api: Api<Req, Res>,
): Api<Req, Res> => api

/** What a client sends: the request's fields as the encoder takes them. */
export type RequestOf<A extends Api> = Encodable<A['request']>
/** What a client gets. */
export type ResponseOf<A extends Api> = Decoded<A['response']>
/** What a broker gets. */
export type ReceivedRequestOf<A extends Api> = Decoded<A['request']>
/** What a broker sends. */
export type SentResponseOf<A extends Api> = Encodable<A['response']>
