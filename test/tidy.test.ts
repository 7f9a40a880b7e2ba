/**
 * Holds what STYLE can be held to by a machine: the direction of imports, cycles, sizes and the ban list.
 * Types are stripped in place, so positions stay, and the rest is parsed with acorn.
 */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, join, normalize, relative } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Node, parse, tokenizer } from 'acorn'
import { ancestor } from 'acorn-walk'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const src = join(root, 'src')

/** Each room with the rooms it may import. `errors` and `util` are open to all. */
const layers: { readonly [room: string]: readonly string[] } = {
  errors: [],
  util: [],
  telemetry: [],
  protocol: [],
  storage: [],
  client: ['telemetry', 'protocol', 'storage'],
  producer: ['telemetry', 'protocol', 'storage', 'client'],
  consumer: ['telemetry', 'protocol', 'storage', 'client'],
  broker: ['telemetry', 'protocol', 'storage', 'registry'],
  kafka: ['telemetry', 'protocol', 'storage', 'client', 'producer', 'consumer'],
  index: ['telemetry', 'protocol', 'client', 'producer', 'consumer', 'kafka'],
  cli: ['index', 'broker'],
}

const LIMITS = { fileLines: 400, functionLines: 70, nesting: 4, parameters: 3 }

const bans: readonly { readonly pattern: RegExp; readonly instead: string; readonly except?: RegExp }[] = [
  { pattern: /\bconsole\./, instead: 'the injected logger', except: /^cli\// },
  { pattern: /\bDate\.now\b|\bnew Date\(\)/, instead: 'the injected Clock', except: /^util\/clock/ },
  { pattern: /\bMath\.random\b/, instead: 'the injected Random', except: /^util\/random/ },
  {
    pattern: /(?<![.\w])(setTimeout|setInterval|setImmediate)\(/,
    instead: 'the injected Clock',
    except: /^util\//,
  },
  { pattern: /:\s*any\b|<any\b|\bas any\b/, instead: 'unknown, or the type itself' },
  { pattern: /^\s*(export )?(const )?enum\b/m, instead: 'a union of literals' },
  {
    pattern: /\beval\b\s*\(|\bFunction\s*\(|\bnode:vm\b/,
    instead: 'closures: nothing is compiled from text, see docs/decisions/codec-closures.md',
  },
  { pattern: /\bexport default\b/, instead: 'a named export' },
  { pattern: /\b(FIXME|TODO|XXX)\b/, instead: 'doing it, or an issue' },
  { pattern: /catch\s*(\(\w+\))?\s*\{\s*\}/, instead: 'a handler, or a comment inside that says why not' },
  {
    pattern: /\blogger\.\w+\(\{(?:[^}]*,)? ?error\b/,
    instead: '{ err: error }, the key by which loggers know an error',
  },
  { pattern: /\b\w+(Impl|Manager|Helper)\b/, instead: 'a name that says what it does' },
]

interface Source {
  readonly path: string
  readonly room: string
  readonly text: string
  readonly code: string
}

const sources: readonly Source[] = globSync('**/*.ts', { cwd: src })
  .sort()
  .map((path) => {
    const text = readFileSync(join(src, path), 'utf8')
    const code = stripTypeScriptTypes(text, { mode: 'strip' })
    return { path, room: path.split('/')[0]?.replace(/\.ts$/, '') as string, text, code }
  })

/** Relative imports and re-exports, types included, as paths under src/. */
const importsOf = (source: Source): string[] =>
  [...source.text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'(\.{1,2}\/[^']+)'/g)].map((match) =>
    normalize(join(dirname(source.path), match[1] as string)),
  )

const withoutComments = (text: string) =>
  text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' '))
    .replace(/(^|\s)\/\/.*$/gm, '$1')

test('a room imports only from the rooms to its left', () => {
  const wrong: string[] = []
  for (const source of sources) {
    const allowed = layers[source.room]
    assert.ok(allowed, `src/${source.path} stands in a room that the layers do not know`)
    for (const target of importsOf(source)) {
      const room = target.split('/')[0]?.replace(/\.ts$/, '') as string
      const open = room === source.room || room === 'errors' || (room === 'util' && source.room !== 'errors')
      if (!open && !allowed.includes(room)) wrong.push(`${source.path} imports ${target}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('no import cycles, types included', () => {
  const graph = new Map(sources.map((source) => [source.path, importsOf(source)]))
  const state = new Map<string, 'open' | 'done'>()
  const cycles: string[] = []
  const visit = (path: string, trail: string[]) => {
    if (state.get(path) === 'done') return
    if (state.get(path) === 'open') {
      cycles.push([...trail.slice(trail.indexOf(path)), path].join(' → '))
      return
    }
    state.set(path, 'open')
    for (const target of graph.get(path) ?? []) visit(target, [...trail, path])
    state.set(path, 'done')
  }
  for (const path of graph.keys()) visit(path, [])
  assert.deepEqual(cycles, [])
})

test('files, functions, nesting and parameters stay within their sizes', () => {
  const wrong: string[] = []
  for (const source of sources) {
    const lines = codeLines(source.code)
    if (lines > LIMITS.fileLines)
      wrong.push(`${source.path}: ${lines} lines of code, ${LIMITS.fileLines} at most`)
    wrong.push(...functionsOf(source))
  }
  assert.deepEqual(wrong, [])
})

test('nothing banned is used', () => {
  const wrong: string[] = []
  for (const source of sources) {
    const lines = withoutComments(source.text).split('\n')
    for (const { pattern, instead, except } of bans) {
      if (except?.test(source.path)) continue
      for (const [index, line] of lines.entries()) {
        if (pattern.test(line)) wrong.push(`${source.path}:${index + 1}: ${line.trim()} (use ${instead})`)
      }
    }
  }
  assert.deepEqual(wrong, [])
})

test('every file opens with what it owns, and carries a kebab-case name', () => {
  const wrong = sources
    .filter(
      ({ path, text }) => !/^(#!.*\n)?\/\*\*/.test(text) || !/^([a-z0-9-]+\/)*[a-z0-9-]+\.ts$/.test(path),
    )
    .map(({ path }) => path)
  assert.deepEqual(wrong, [])
})

function codeLines(code: string): number {
  const lines = new Set<number>()
  for (const token of tokenizer(code, { ecmaVersion: 'latest', sourceType: 'module', locations: true })) {
    for (let line = token.loc?.start.line ?? 0; line <= (token.loc?.end.line ?? 0); line++) lines.add(line)
  }
  return lines.size
}

type Located = Node & {
  type: string
  loc: { start: { line: number }; end: { line: number } }
  params?: unknown[]
}

const isFunction = (node: Node) => /^(Function|ArrowFunction)/.test(node.type)
const nests = (node: Node) => /^(If|For|ForIn|ForOf|While|DoWhile|Switch|Try)Statement$/.test(node.type)

function functionsOf(source: Source): string[] {
  const wrong: string[] = []
  const tree = parse(source.code, { ecmaVersion: 'latest', sourceType: 'module', locations: true })
  const look = (node: Node, _state: unknown, ancestors: Node[]) => {
    const { loc, params } = node as Located
    const at = `${source.path}:${loc.start.line}`
    if (isFunction(node)) {
      const lines = loc.end.line - loc.start.line + 1
      if (lines > LIMITS.functionLines)
        wrong.push(`${at}: a function of ${lines} lines, ${LIMITS.functionLines} at most`)
      if ((params?.length ?? 0) > LIMITS.parameters + (isHot(ancestors) ? 2 : 0)) {
        wrong.push(`${at}: ${params?.length} parameters, ${LIMITS.parameters} at most`)
      }
    } else if (nests(node) && !isElseIf(node, ancestors)) {
      const inside = ancestors.slice(ancestors.findLastIndex(isFunction) + 1)
      const depth = inside.filter(
        (each, index) => nests(each) && !isElseIf(each, inside.slice(0, index + 1)),
      ).length
      if (depth > LIMITS.nesting) wrong.push(`${at}: nested ${depth} deep, ${LIMITS.nesting} at most`)
    }
  }
  ancestor(tree, {
    Function: look,
    IfStatement: look,
    ForStatement: look,
    ForInStatement: look,
    ForOfStatement: look,
    WhileStatement: look,
    DoWhileStatement: look,
    SwitchStatement: look,
    TryStatement: look,
  })
  return wrong
}

/** Methods of record batches and of the accumulator take a record in pieces, so that none is allocated for it. */
const isHot = (ancestors: readonly Node[]) =>
  ancestors.some((node) => {
    const id = (node as { id?: { name?: string } }).id
    return id?.name !== undefined && /^(BatchBuilder|Accumulator)$/.test(id.name)
  })

const isElseIf = (node: Node, ancestors: readonly Node[]) => {
  const parent = ancestors.at(-2) as { type?: string; alternate?: Node } | undefined
  return parent?.type === 'IfStatement' && parent.alternate === node
}

test('the paths of this test exist', () => {
  assert.ok(sources.length > 30)
  assert.equal(relative(root, src), 'src')
})
