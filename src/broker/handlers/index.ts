/** Every API that the broker answers, in the order of their keys. What is not here is not advertised. */
import { type AdvertisedApi, type Handler, handler } from '../handler.ts'
import { produceHandler } from './00-produce.ts'
import { fetchHandler } from './01-fetch.ts'
import { metadataHandler } from './03-metadata.ts'
import { offsetCommitHandler } from './08-offset-commit.ts'
import { offsetFetchHandler } from './09-offset-fetch.ts'
import { findCoordinatorHandler } from './10-find-coordinator.ts'
import { joinGroupHandler } from './11-join-group.ts'
import { heartbeatHandler } from './12-heartbeat.ts'
import { leaveGroupHandler } from './13-leave-group.ts'
import { syncGroupHandler } from './14-sync-group.ts'
import { describeGroupsHandler } from './15-describe-groups.ts'
import { listGroupsHandler } from './16-list-groups.ts'
import { saslHandshakeHandler } from './17-sasl-handshake.ts'
import { apiVersionsHandler } from './18-api-versions.ts'
import { createTopicsHandler } from './19-create-topics.ts'
import { deleteTopicsHandler } from './20-delete-topics.ts'
import { initProducerIdHandler } from './22-init-producer-id.ts'
import { saslAuthenticateHandler } from './36-sasl-authenticate.ts'
import { deleteGroupsHandler } from './42-delete-groups.ts'
import { offsetDeleteHandler } from './47-offset-delete.ts'

const all: readonly Handler[] = [
  handler(produceHandler),
  handler(fetchHandler),
  handler(metadataHandler),
  handler(offsetCommitHandler),
  handler(offsetFetchHandler),
  handler(findCoordinatorHandler),
  handler(joinGroupHandler),
  handler(heartbeatHandler),
  handler(leaveGroupHandler),
  handler(syncGroupHandler),
  handler(describeGroupsHandler),
  handler(listGroupsHandler),
  handler(saslHandshakeHandler),
  handler(apiVersionsHandler),
  handler(createTopicsHandler),
  handler(deleteTopicsHandler),
  handler(initProducerIdHandler),
  handler(saslAuthenticateHandler),
  handler(deleteGroupsHandler),
  handler(offsetDeleteHandler),
]

export const handlers: ReadonlyMap<number, Handler> = new Map(all.map((one) => [one.api.key, one]))

export const advertised: readonly AdvertisedApi[] = all.map(({ api, versions }) => ({
  apiKey: api.key,
  minVersion: versions[0],
  maxVersion: versions[1],
}))
