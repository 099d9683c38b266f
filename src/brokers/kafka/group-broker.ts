import type { Broker, Cluster, FetchOffsetsPartition, TopicOffsets } from 'kafkajs'
import { isUnreachable } from './kafka-error.ts'

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
  findGroupCoordinator(request: { readonly groupId: string; readonly coordinatorType: number }): Promise<unknown>
  joinGroup(request: JoinRequest): Promise<JoinResponse>
  syncGroup(request: SyncRequest): Promise<{ readonly memberAssignment: Buffer }>
  heartbeat(request: { readonly groupId: string; readonly groupGenerationId: number; readonly memberId: string }): Promise<unknown>
  leaveGroup(request: { readonly groupId: string; readonly memberId: string }): Promise<unknown>
}

/** Its types leave out what lies beside an offset, too. */
interface FetchedOffsets {
  readonly topic: string
  readonly partitions: FetchOffsetsPartition[]
}

export interface GroupBroker extends Broker, GroupRequests {
  offsetFetch(request: { readonly groupId: string; readonly topics: TopicOffsets[] }): Promise<{ responses: FetchedOffsets[] }>
}

/** Throws where kafkajs is not the version this was written for. */
function groupBroker(broker: Broker): GroupBroker {
  if (!hasGroupRequests(broker)) throw new Error('kafkajs lacks the group requests: it is not the version this was written for')
  return broker
}

const GROUP_COORDINATOR = 0

/** Where a group is coordinated. kafkajs asks every broker and swallows what they refuse: one that is asked directly says why. */
export async function findCoordinator(cluster: Cluster, group: string): Promise<GroupBroker> {
  try {
    return groupBroker(await cluster.findGroupCoordinator({ groupId: group }))
  } catch (error) {
    if (!isUnreachable(error)) throw error
    const asked = groupBroker(await cluster.findControllerBroker())
    await asked.findGroupCoordinator({ groupId: group, coordinatorType: GROUP_COORDINATOR })
    throw error
  }
}

function hasGroupRequests(broker: Broker): broker is GroupBroker {
  return ['findGroupCoordinator', 'joinGroup', 'syncGroup', 'heartbeat', 'leaveGroup'].every(
    name => typeof Reflect.get(broker, name) === 'function',
  )
}
