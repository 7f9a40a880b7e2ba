/**
 * `npm ci` refuses a lock file in which a package of another platform is missing, and npm leaves those out when the
 * registry at hand does not carry them. Every optional dependency has to have its entry.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

interface Locked {
  readonly packages: {
    readonly [path: string]: { readonly optionalDependencies?: { readonly [name: string]: string } }
  }
}

for (const folder of ['', 'bench/']) {
  test(`${folder}package-lock.json names the packages of every platform`, () => {
    const lock = JSON.parse(
      readFileSync(new URL(`../../${folder}package-lock.json`, import.meta.url), 'utf8'),
    ) as Locked
    const wanted = Object.values(lock.packages).flatMap(({ optionalDependencies }) =>
      Object.keys(optionalDependencies ?? {}),
    )
    const missing = wanted.filter(
      (name) => !Object.keys(lock.packages).some((path) => path.endsWith(`node_modules/${name}`)),
    )
    assert.deepEqual(missing, [])
  })
}
