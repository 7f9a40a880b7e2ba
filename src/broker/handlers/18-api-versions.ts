/** ApiVersions (18): what this broker speaks. It may be asked before authentication. */
import { apiVersions } from '../../protocol/messages/api-versions.ts'
import type { Handler } from '../handler.ts'

export const apiVersionsHandler: Handler<typeof apiVersions> = {
  api: apiVersions,
  versions: [0, 4],
  handle: (_request, { advertised }) => ({ errorCode: 0, apiKeys: advertised, finalizedFeaturesEpoch: 0 }),
  refuse: (_request, code, { advertised }) => ({ errorCode: code, apiKeys: advertised }),
}
