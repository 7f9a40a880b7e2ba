/**
 * Which version of each API to speak with one broker: the highest that both sides know (ApiVersions, API key 18).
 */
import { OttlaError } from '../errors.ts'
import type { Api } from '../protocol/schema.ts'

export interface ApiRange {
  readonly apiKey: number
  readonly minVersion: number
  readonly maxVersion: number
}

export class ApiRanges {
  readonly #ranges: ReadonlyMap<number, ApiRange>
  readonly #broker: string

  constructor(ranges: readonly ApiRange[], broker: string) {
    this.#ranges = new Map(ranges.map((range) => [range.apiKey, range]))
    this.#broker = broker
  }

  /** The highest version that both know; UNSUPPORTED_VERSION when there is none. */
  versionOf(api: Api): number {
    const version = this.#highest(api)
    if (version !== undefined) return version
    const range = this.#ranges.get(api.key)
    const theirs = range === undefined ? 'no version' : `versions ${range.minVersion} to ${range.maxVersion}`
    const message = `${this.#broker} has ${theirs} of ${api.name}; Ottla speaks ${api.versions[0]} to ${api.versions[1]}`
    throw new OttlaError('UNSUPPORTED_VERSION', message, { broker: this.#broker, api: api.name })
  }

  supports(api: Api, lowestVersion = 0): boolean {
    const version = this.#highest(api)
    return version !== undefined && version >= lowestVersion
  }

  #highest(api: Api): number | undefined {
    const range = this.#ranges.get(api.key)
    if (range === undefined) return undefined
    const highest = Math.min(range.maxVersion, api.versions[1])
    return highest >= Math.max(range.minVersion, api.versions[0]) ? highest : undefined
  }
}
