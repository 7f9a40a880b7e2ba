/** IncrementalAlterConfigs (44): sets, deletes, and appends to or subtracts from lists (KIP-339). */
import { errorCode } from '../../protocol/error-codes.ts'
import { incrementalAlterConfigs } from '../../protocol/messages/incremental-alter-configs.ts'
import type { ReceivedRequestOf } from '../../protocol/schema.ts'
import { alterEach, type ConfigResource, findResource, refusedConfig } from '../config-resources.ts'
import type { Handler, RequestContext } from '../handler.ts'
import type { Problem } from '../topic-rules.ts'

type Resource = ReceivedRequestOf<typeof incrementalAlterConfigs>['resources'][number]
type Change = Resource['configs'][number]

const operation = { set: 0, delete: 1, append: 2, subtract: 3 } as const

export const incrementalAlterConfigsHandler: Handler<typeof incrementalAlterConfigs> = {
  api: incrementalAlterConfigs,
  versions: [0, 1],
  errors: [
    errorCode.INVALID_REQUEST,
    errorCode.INVALID_TOPIC_EXCEPTION,
    errorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorCode.INVALID_CONFIG,
  ],
  perPartition: true,
  handle({ resources, validateOnly }, context) {
    const responses = alterEach(resources, (resource) => change(resource, validateOnly, context))
    return { throttleTimeMs: 0, responses }
  },
}

function change(asked: Resource, validateOnly: boolean, context: RequestContext): Problem | undefined {
  const found = findResource(asked, context)
  if ('errorCode' in found) return found
  const { resource } = found
  const names = asked.configs.map(({ name }) => name)
  if (new Set(names).size < names.length) {
    const message = 'Error due to duplicate config keys'
    return { errorCode: errorCode.INVALID_REQUEST, message }
  }
  const configs: { [name: string]: string } = { ...resource.configs }
  for (const one of asked.configs) {
    const problem = apply(one, configs, resource)
    if (problem !== undefined) return problem
  }
  const changed = Object.fromEntries(
    Object.entries(configs).filter(([name]) => configs[name] !== resource.configs[name]),
  )
  const problem = refusedConfig(resource, changed)
  if (problem === undefined && !validateOnly) resource.set(configs)
  return problem
}

function apply(
  { name, value, configOperation }: Change,
  configs: { [name: string]: string },
  resource: ConfigResource,
): Problem | undefined {
  if (configOperation === operation.delete) {
    delete configs[name]
    return undefined
  }
  if (value === null) {
    return { errorCode: errorCode.INVALID_REQUEST, message: `Null value not supported for : ${name}` }
  }
  if (configOperation === operation.set) {
    configs[name] = value
    return undefined
  }
  if (configOperation !== operation.append && configOperation !== operation.subtract) {
    return { errorCode: errorCode.INVALID_REQUEST, message: `Unknown operation ${configOperation}` }
  }
  if (!resource.isList(name)) {
    const message = `Config value append is not allowed for config key: ${name}`
    return { errorCode: errorCode.INVALID_CONFIG, message }
  }
  const now = (configs[name] ?? resource.implied(name)).split(',').filter((item) => item !== '')
  const given = value.split(',')
  const kept =
    configOperation === operation.append
      ? [...now, ...given.filter((item) => !now.includes(item))]
      : now.filter((item) => !given.includes(item))
  configs[name] = kept.join(',')
  return undefined
}
