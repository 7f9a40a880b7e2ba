/** A copy of what a request carried: the views that a decoder gives would keep the whole request alive. */
export const copyOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes)
