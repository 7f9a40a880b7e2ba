/** DescribeConfigs (32). */
import { errorCode } from '../../protocol/error-codes.ts'
import { describeConfigs } from '../../protocol/messages/describe-configs.ts'
import type { ReceivedRequestOf, SentResponseOf } from '../../protocol/schema.ts'
import { findResource } from '../config-resources.ts'
import { type DescribedConfig, describeBrokerConfig, describeTopicConfig } from '../describe-config.ts'
import type { Handler, RequestContext } from '../handler.ts'
import { brokerConfigNames, topicConfigs } from '../topic-settings.ts'

type Request = ReceivedRequestOf<typeof describeConfigs>
type Result = SentResponseOf<typeof describeConfigs>['results'][number]

export const describeConfigsHandler: Handler<typeof describeConfigs> = {
  api: describeConfigs,
  versions: [0, 4],
  errors: [
    errorCode.INVALID_REQUEST,
    errorCode.INVALID_TOPIC_EXCEPTION,
    errorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ],
  perPartition: true,
  handle(request, context) {
    return {
      throttleTimeMs: 0,
      results: request.resources.map((resource) => describe(resource, request, context)),
    }
  },
}

function describe(asked: Request['resources'][number], request: Request, context: RequestContext): Result {
  const { resourceType, resourceName, configurationKeys } = asked
  const found = findResource(asked, context)
  if ('errorCode' in found) {
    return {
      errorCode: found.errorCode,
      errorMessage: found.message,
      resourceType,
      resourceName,
      configs: [],
    }
  }
  const { cluster, version } = context
  const { topic } = found
  const names = topic === undefined ? brokerConfigNames : Object.keys(topicConfigs)
  const wanted = configurationKeys === null || configurationKeys.length === 0 ? names : configurationKeys
  const configs = names
    .filter((name) => wanted.includes(name))
    .map((name) =>
      topic === undefined
        ? describeBrokerConfig(name, cluster.configs)
        : describeTopicConfig(name, topic.configs, cluster.configs),
    )
  return {
    errorCode: errorCode.NONE,
    errorMessage: '',
    resourceType,
    resourceName,
    configs: configs.map((config) => tell(config, request, version)),
  }
}

/** Version 0 says only whether a value is the default; synonyms are told when asked for. */
function tell({ isDefault, synonyms, ...config }: DescribedConfig, request: Request, version: number) {
  const documentation = version >= 3 && request.includeDocumentation ? '' : null
  return {
    ...config,
    documentation,
    synonyms: request.includeSynonyms ? synonyms : [],
    ...(version === 0 ? { isDefault } : {}),
  }
}
