/**
 * A token that lies in a file. It is read for each authentication, so whoever renews it, a sidecar say, has nobody to tell.
 *
 * What is no file, such as the pipe of `<(command)` or /dev/stdin, can be read once: its token is kept, for as long as it is good.
 */
import { promises } from 'node:fs'

export function tokenFromFile(path: string): () => Promise<string> {
  let kept: Promise<string> | undefined
  const readOnce = () => {
    kept ??= read(path).catch((error: unknown) => {
      kept = undefined
      throw error
    })
    return kept
  }
  return async () => {
    if (kept !== undefined) return kept
    return (await promises.stat(path)).isFile() ? read(path) : readOnce()
  }
}

async function read(path: string): Promise<string> {
  const token = (await promises.readFile(path, 'utf8')).trim()
  // It may be in the middle of being written: that passes, as does a file that is not there yet.
  if (token === '') throw new Error(`${path} is empty`)
  return token
}
