/** AlterConfigs (33): replaces all configs of a resource; what is not named returns to its default. */
import { errorCode } from '../../protocol/error-codes.ts'
import { alterConfigs } from '../../protocol/messages/alter-configs.ts'
import type { ReceivedRequestOf } from '../../protocol/schema.ts'
import { alterEach, findResource, refusedConfig } from '../config-resources.ts'
import type { Handler, RequestContext } from '../handler.ts'
import type { Problem } from '../topic-rules.ts'

type Resource = ReceivedRequestOf<typeof alterConfigs>['resources'][number]

export const alterConfigsHandler: Handler<typeof alterConfigs> = {
  api: alterConfigs,
  versions: [0, 2],
  errors: [
    errorCode.INVALID_REQUEST,
    errorCode.INVALID_TOPIC_EXCEPTION,
    errorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorCode.INVALID_CONFIG,
  ],
  perPartition: true,
  handle({ resources, validateOnly }, context) {
    const responses = alterEach(resources, (resource) => replace(resource, validateOnly, context))
    return { throttleTimeMs: 0, responses }
  },
}

function replace(asked: Resource, validateOnly: boolean, context: RequestContext): Problem | undefined {
  const found = findResource(asked, context)
  if ('errorCode' in found) return found
  const configs: { [name: string]: string } = {}
  for (const { name, value } of asked.configs) {
    if (value === null) {
      return { errorCode: errorCode.INVALID_REQUEST, message: `Null value not supported for : ${name}` }
    }
    configs[name] = value
  }
  const problem = refusedConfig(found.resource, configs)
  if (problem === undefined && !validateOnly) found.resource.set(configs)
  return problem
}
