/**
 * Which errors the embedded broker has answered while the suites ran, by API, error and version, held against what its
 * handlers declare: nothing else may be answered, everything declared must have been, and each version of each API
 * must have answered some error, so that no place of one goes unseen. What a fault puts into an answer does not count.
 *
 * That an error was answered is not yet that a case expects it: it may stand in an answer that nobody looked at. So the
 * ledger also notes which errors a case has read, but for those that it read while it waited for something to come.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { AnswerObserver } from '../../src/broker/answered-errors.ts'
import type { Handler } from '../../src/broker/handler.ts'
import { apiTable } from '../../src/broker/handlers/index.ts'
import { errorName } from '../../src/protocol/error-codes.ts'
import type { Api } from '../../src/protocol/schema.ts'
import { isWaiting } from './target.ts'

/** By API name: errors that no case can have, each with the reason. */
export type Exceptions = Readonly<Record<string, Readonly<Record<string, string>>>>

/** By API name: versions, both inclusive, in which no error of its own can be had, with the reason. */
export type SilentVersions = Readonly<
  Record<string, { readonly from: number; readonly to: number; readonly why: string }>
>

export class ErrorLedger {
  /** By API name, then by error: the versions that answered it. */
  readonly #answered = new Map<string, Map<string, Set<number>>>()

  /** By API name: the errors that a case has read. */
  readonly #read = new Map<string, Set<string>>()

  readonly observe: AnswerObserver = ({ api, version, errors }) => {
    for (const error of errors) this.#versionsOf(api, errorName(error)).add(version)
  }

  /** Lets a response tell when one of its errors is read. */
  readonly watch = (api: Api, body: object): void => {
    for (const [key, value] of Object.entries(body)) {
      if (key === 'errorCode') {
        const get = () => {
          if (!isWaiting()) this.#readBy(api).add(errorName(value as number))
          return value
        }
        Object.defineProperty(body, key, { enumerable: true, get })
      } else if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
        this.watch(api, value)
      }
    }
  }

  /** What was answered and is not declared: `Produce 9: INVALID_RECORD`. */
  undeclared(handlers: Iterable<Handler>): string[] {
    const declared = new Map(Array.from(handlers, ({ api, errors }) => [api.name, errors.map(errorName)]))
    return [...this.#answered].flatMap(([api, errors]) =>
      [...errors]
        .filter(([error]) => declared.get(api)?.includes(error) !== true)
        .map(([error, versions]) => `${api} ${[...versions]}: ${error}`),
    )
  }

  /** What is declared and was not answered. */
  missing({ api, errors }: Handler): string[] {
    const answered = this.#answered.get(api.name)
    return errors.map(errorName).filter((error) => answered?.has(error) !== true)
  }

  /** What is declared and no case has read. */
  unread({ api, errors }: Handler): string[] {
    return errors.map(errorName).filter((error) => !this.#readBy(api).has(error))
  }

  /** The advertised versions that answered no error. */
  silentVersions({ api, versions: [lowest, highest] }: Handler): number[] {
    const heard = new Set([...(this.#answered.get(api.name)?.values() ?? [])].flatMap((one) => [...one]))
    const all = Array.from({ length: highest - lowest + 1 }, (_, index) => lowest + index)
    return all.filter((version) => !heard.has(version))
  }

  #readBy({ name }: Api): Set<string> {
    const read = this.#read.get(name) ?? new Set<string>()
    this.#read.set(name, read)
    return read
  }

  #versionsOf({ name }: Api, error: string): Set<number> {
    const errors = this.#answered.get(name) ?? new Map<string, Set<number>>()
    this.#answered.set(name, errors)
    const versions = errors.get(error) ?? new Set<number>()
    errors.set(error, versions)
    return versions
  }
}

/** To be called after the suites that write into the ledger: tests run in the order in which they are made. */
export function errorLedgerCases(
  ledger: ErrorLedger,
  { exceptions, silent }: { readonly exceptions: Exceptions; readonly silent: SilentVersions },
): void {
  const handlers = [...apiTable().handlers.values()]

  describe('errors: the embedded broker', () => {
    test('no handler answers an error that it does not declare', () => {
      assert.deepEqual(ledger.undeclared(handlers), [])
    })

    for (const handler of handlers) {
      const { name } = handler.api

      test(`${name}: every error that is declared has a case`, () => {
        assert.deepEqual(ledger.missing(handler), Object.keys(exceptions[name] ?? {}))
        assert.deepEqual(ledger.unread(handler), Object.keys(exceptions[name] ?? {}), 'and the case reads it')
        assert.equal(new Set(handler.errors).size, handler.errors.length, 'each is declared once')
      })

      test(`${name}: every version has answered an error`, () => {
        const { from, to } = silent[name] ?? { from: 0, to: -1 }
        assert.deepEqual(
          ledger.silentVersions(handler),
          Array.from({ length: to - from + 1 }, (_, index) => from + index),
        )
      })
    }
  })
}
