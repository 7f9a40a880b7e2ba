/** ApiVersions (18): what this broker speaks. It may be asked before authentication. */
import { errorCode } from '../../protocol/error-codes.ts'
import { apiVersions } from '../../protocol/messages/api-versions.ts'
import type { Handler } from '../handler.ts'

/** KIP-511: clients say who they are. */
const NAMES_SINCE = 3

const isName = (text: string) => /^[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?$/.test(text)

export const apiVersionsHandler: Handler<typeof apiVersions> = {
  api: apiVersions,
  versions: [0, 4],
  errors: [errorCode.INVALID_REQUEST, errorCode.UNSUPPORTED_VERSION],
  handle({ clientSoftwareName, clientSoftwareVersion }, { advertised, version }) {
    const isNamed = version < NAMES_SINCE || [clientSoftwareName, clientSoftwareVersion].every(isName)
    if (!isNamed) return { errorCode: errorCode.INVALID_REQUEST, apiKeys: [] }
    return { errorCode: errorCode.NONE, apiKeys: advertised, finalizedFeaturesEpoch: 0 }
  },
  refuse: (_request, code, { advertised }) => ({ errorCode: code, apiKeys: advertised }),
}
