/** What the pages say of defaults is what the options have; the pages exist, and their links lead somewhere. */
import assert from 'node:assert/strict'
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { resolveClientOptions } from '../src/client/options.ts'
import { resolveConsumerOptions } from '../src/consumer/consumer-options.ts'
import { resolveProducerOptions } from '../src/producer/producer-options.ts'

const root = join(import.meta.dirname, '..')
const docs = join(root, 'docs')
const UNITS = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }

const rooms: Readonly<Record<string, unknown>>[] = [
  { ...resolveProducerOptions({}) },
  { ...resolveConsumerOptions({ groupId: 'g', topics: ['t'] }) },
  { ...resolveClientOptions({ brokers: 'b:9092' }) },
]

/** A value as pages write it; undefined for what is said in words. */
function meantBy(text: string): unknown {
  const number = /^(\d{1,3}(?:,\d{3})*|\d+)(?: (KiB|MiB|GiB))?$/.exec(text)
  if (number !== null) {
    const unit = number[2] === undefined ? 1 : UNITS[number[2] as keyof typeof UNITS]
    return Number((number[1] as string).replaceAll(',', '')) * unit
  }
  const word = /^`?'([\w-]+)'`?$/.exec(text)
  if (word !== null) return word[1]
  return { true: true, false: false }[text]
}

interface Statement {
  readonly option: string
  readonly value: unknown
  readonly where: string
}

/** "`option` (value)" in a text, and "| `a`, `b` | 1, 2 |" in a table. A comma inside of a number has no blank behind it. */
function statementsOf(page: string): Statement[] {
  const found: Statement[] = []
  for (const [index, line] of readFileSync(join(docs, page), 'utf8').split('\n').entries()) {
    const where = `${page}:${index + 1}`
    const add = (option: string, text: string) => {
      const value = meantBy(text.trim())
      if (value !== undefined) found.push({ option, value, where })
    }
    for (const [, option, text] of line.matchAll(/`(\w+)` \(([^()]+)\)/g))
      add(option as string, text as string)
    const row = /^\| ((?:`\w+`(?:, )?)+) \| ([^|]+) \|/.exec(line)
    if (row === null) continue
    const options = [...(row[1] as string).matchAll(/`(\w+)`/g)].map(([, name]) => name as string)
    const values = (row[2] as string).split(/, |;/)
    for (const [place, option] of options.entries()) add(option, values[place] ?? '')
  }
  return found
}

test('defaults in the pages are those of the options', () => {
  // The broker has options of its own, some under the same names.
  const pages = readdirSync(docs).filter((name) => name.endsWith('.md') && name !== 'embedded-broker.md')
  const known = pages
    .flatMap(statementsOf)
    .filter(({ option }) => rooms.some((room) => room[option] !== undefined))
  const wrong = known
    .filter(({ option, value }) => !rooms.some((room) => room[option] === value))
    .map(({ option, value, where }) => `${where}: ${option} is not ${value}`)
  assert.deepEqual(wrong, [])
  const told = new Set(known.map(({ option }) => option))
  assert.ok(told.size > 30, `the pages tell of ${[...told].join(', ')}`)
})

test('the documents exist, and every link between them leads somewhere', () => {
  const pages = globSync(['*.md', 'docs/**/*.md', 'bench/*.md', 'examples/*.md'], { cwd: root })
  for (const page of ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/errors.md']) {
    assert.ok(pages.includes(page), page)
  }
  const dead = pages.flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/\]\((?![a-z]+:|#)([^)#\s]+)/g)]
      .map(([, target]) => target as string)
      .filter((target) => !existsSync(join(root, dirname(page), target)))
      .map((target) => `${page}: ${target}`),
  )
  assert.deepEqual(dead, [])
})

test('the list of decisions names each of them', () => {
  const list = readFileSync(join(docs, 'decisions', 'README.md'), 'utf8')
  const listed = [...list.matchAll(/\]\(([\w-]+\.md)\)/g)].map(([, name]) => name)
  const there = readdirSync(join(docs, 'decisions')).filter((name) => name !== 'README.md')
  assert.deepEqual(listed.sort(), there.sort())
})
