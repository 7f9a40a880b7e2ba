/** The values that all clients send: the same bytes for all, in a file, made from a fixed seed. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Work } from './works.ts'

const distinctValues = 1_000

/** mulberry32: small, and the same everywhere. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

function randomBytes(size: number, random: () => number): Buffer {
  const bytes = Buffer.allocUnsafe(size)
  for (let index = 0; index < size; index++) bytes[index] = random() * 256
  return bytes
}

/** An order as a shop might write it: field names repeat, numbers and ids do not. */
function jsonOrder(size: number, random: () => number): Buffer {
  const id = () => Math.floor(random() * 2 ** 40).toString(16)
  const line = () => ({
    sku: `SKU-${id().slice(0, 8)}`,
    name: ['Notebook, ruled', 'Pencil, soft', 'Desk lamp', 'Paper, 500 sheets'][Math.floor(random() * 4)],
    quantity: 1 + Math.floor(random() * 9),
    price: Math.round(random() * 20_000) / 100,
    currency: 'EUR',
  })
  const order = {
    orderId: id(),
    customer: { id: id(), country: ['CZ', 'DE', 'AT', 'FR'][Math.floor(random() * 4)], segment: 'retail' },
    createdAt: new Date(1.7e12 + random() * 1e10).toISOString(),
    status: ['created', 'paid', 'sent'][Math.floor(random() * 3)],
    lines: [] as unknown[],
    note: '',
  }
  while (JSON.stringify(order).length < size - 120) order.lines.push(line())
  order.note = 'x'.repeat(Math.max(0, size - JSON.stringify(order).length))
  return Buffer.from(JSON.stringify(order)).subarray(0, size)
}

/** Writes the values of this kind, each after its length (32 bits, little endian), and returns the path. */
export function writeValues(kind: Work['values'] | 'bytes-1000000', folder: string): string {
  const [shape, digits] = kind.split('-')
  const size = Number(digits)
  const random = seeded(size)
  const make = shape === 'json' ? jsonOrder : randomBytes
  const parts: Buffer[] = []
  for (let index = 0; index < (size > 100_000 ? 10 : distinctValues); index++) {
    const value = make(size, random)
    const length = Buffer.alloc(4)
    length.writeUInt32LE(value.length)
    parts.push(length, value)
  }
  const path = join(folder, `${kind}.values`)
  writeFileSync(path, Buffer.concat(parts))
  return path
}
