/**
 * InitProducerId (22): a producer id for an idempotent producer, always a new one with epoch 0. What a client says of
 * an id that it had is not looked at without a transactional id, as in Kafka.
 *
 * There are no transactions here: a transactional id is answered UNSUPPORTED_VERSION, which no client retries.
 */
import { errorCode } from '../../protocol/error-codes.ts'
import { initProducerId } from '../../protocol/messages/init-producer-id.ts'
import type { Handler } from '../handler.ts'

export const initProducerIdHandler: Handler<typeof initProducerId> = {
  api: initProducerId,
  versions: [0, 5],
  errors: [errorCode.INVALID_REQUEST, errorCode.UNSUPPORTED_VERSION],
  handle({ transactionalId, producerId: given, producerEpoch }, { cluster }) {
    // Half of a producer makes no sense.
    if ((given === -1) !== (producerEpoch === -1)) return refused(errorCode.INVALID_REQUEST)
    if (transactionalId === null) {
      const producerId = cluster.nextProducerId()
      return { throttleTimeMs: 0, errorCode: errorCode.NONE, producerId, producerEpoch: 0 }
    }
    const code = transactionalId === '' ? errorCode.INVALID_REQUEST : errorCode.UNSUPPORTED_VERSION
    return refused(code)
  },
  refuse: (_request, code) => refused(code),
}

const refused = (code: number) => ({
  throttleTimeMs: 0,
  errorCode: code,
  producerId: -1,
  producerEpoch: -1,
})
