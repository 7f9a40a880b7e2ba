/** The seed of a property test: a fresh one each run, or that of OTTLA_SEED to see a failure again. */
import { type Random, seededRandom } from '../../src/util/random.ts'

export const seed = Number(process.env['OTTLA_SEED'] ?? Math.floor(Math.random() * 2 ** 32))

/** Runs `body` for each round with a random of its own; a failure names the seed and the round. */
export function rounds(count: number, body: (random: Random, round: number) => void): void {
  for (let round = 0; round < count; round++) {
    try {
      body(seededRandom(seed + round), round)
    } catch (error) {
      throw new Error(`failed in round ${round}; see it again with OTTLA_SEED=${seed}`, { cause: error })
    }
  }
}
