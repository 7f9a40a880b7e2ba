/** The answers that a group gives later than it was asked: to JoinGroup and SyncGroup. */
import { errorCode } from '../../protocol/error-codes.ts'
import { NO_BYTES, type Ticket } from './member.ts'

export interface JoinAnswer {
  readonly errorCode: number
  readonly generationId: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly leader: string
  /** KIP-814: a restarted static leader keeps the assignment that stands. */
  readonly skipAssignment: boolean
  readonly memberId: string
  readonly members: readonly {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly metadata: Uint8Array
  }[]
}

export interface SyncAnswer {
  readonly errorCode: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignment: Uint8Array
}

export type Answer =
  | { readonly ticket: Ticket; readonly join: JoinAnswer }
  | { readonly ticket: Ticket; readonly sync: SyncAnswer }

/** A JoinGroup that is refused; `memberId` is what the client shall know itself by. */
export const joinRefused = (error: number, memberId: string): JoinAnswer => ({
  errorCode: error,
  generationId: -1,
  protocolType: null,
  protocolName: null,
  leader: '',
  skipAssignment: false,
  memberId,
  members: [],
})

export const syncRefused = (error: number): SyncAnswer => ({
  errorCode: error,
  protocolType: null,
  protocolName: null,
  assignment: NO_BYTES,
})

export const NONE = errorCode.NONE
