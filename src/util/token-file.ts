/** A token that lies in a file. It is read for each authentication, so whoever renews it, a sidecar say, has nobody to tell. */
import { promises } from 'node:fs'

export const tokenFromFile = (path: string) => async (): Promise<string> => {
  const token = (await promises.readFile(path, 'utf8')).trim()
  // It may be in the middle of being written: that passes, as does a file that is not there yet.
  if (token === '') throw new Error(`${path} is empty`)
  return token
}
