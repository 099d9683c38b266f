import type { Broker } from 'kafkajs'

interface JoinRequest {
  readonly groupId: string
  readonly sessionTimeout: number
  readonly rebalanceTimeout: number
  /** Empty for a new member. */
  readonly memberId: string
  readonly groupProtocols: readonly { readonly name: string; readonly metadata: Buffer }[]
}

export interface JoinResponse {
  readonly generationId: number
  readonly leaderId: string
  readonly memberId: string
  /** Filled for the leader only. */
  readonly members: readonly { readonly memberId: string; readonly memberMetadata: Buffer }[]
}

interface SyncRequest {
  readonly groupId: string
  readonly generationId: number
  readonly memberId: string
  readonly groupAssignment: readonly { readonly memberId: string; readonly memberAssignment: Buffer }[]
}

/** The group requests of kafkajs's Broker that its types leave out (kafkajs 2.2.4, src/broker/index.js). */
interface GroupRequests {
  joinGroup(request: JoinRequest): Promise<JoinResponse>
  syncGroup(request: SyncRequest): Promise<{ readonly memberAssignment: Buffer }>
  heartbeat(request: { readonly groupId: string; readonly groupGenerationId: number; readonly memberId: string }): Promise<unknown>
  leaveGroup(request: { readonly groupId: string; readonly memberId: string }): Promise<unknown>
}

export type GroupBroker = Broker & GroupRequests

/** Throws where kafkajs is not the version this was written for. */
export function groupBroker(broker: Broker): GroupBroker {
  if (!hasGroupRequests(broker)) throw new Error('kafkajs lacks the group requests: it is not the version this was written for')
  return broker
}

function hasGroupRequests(broker: Broker): broker is GroupBroker {
  return ['joinGroup', 'syncGroup', 'heartbeat', 'leaveGroup'].every(name => typeof Reflect.get(broker, name) === 'function')
}
