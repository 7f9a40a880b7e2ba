/** Consumer groups and their offsets. */
import { describe } from 'node:test'
import type { Targeted } from './case.ts'
import { groupAdminCases } from './groups-admin.ts'
import { findCoordinatorCases, joinCases } from './groups-join.ts'
import { livingCases, staticMemberCases } from './groups-living.ts'
import { offsetCases } from './offsets.ts'
import { offsetsLogCases } from './offsets-log.ts'

export function groupConformance(target: Targeted): void {
  describe('groups', () => {
    findCoordinatorCases(target)
    joinCases(target)
    livingCases(target)
    staticMemberCases(target)
    groupAdminCases(target)
    offsetCases(target)
    offsetsLogCases(target)
  })
}
