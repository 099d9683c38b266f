import { AssignerProtocol } from 'kafkajs'
import type { TopicPartition } from '../broker.ts'
import { type GroupMember, stickyAssignment } from '../sticky-assignment.ts'
import { byTopic } from './by-topic.ts'
import type { JoinResponse } from './group-broker.ts'

/** The name members agree on. A group of other consumers has others and refuses to be joined (INCONSISTENT_GROUP_PROTOCOL). */
export const PROTOCOL_NAME = 'signalbox-sticky'

const VERSION = 0

/** What a member tells the leader: its topics, and what it had before. */
export function encodeMember(topics: readonly string[], owned: readonly TopicPartition[], generation: number): Buffer {
  const userData = Buffer.from(JSON.stringify({ generation, owned: partitionLists(owned) }))
  return AssignerProtocol.MemberMetadata.encode({ version: VERSION, topics: [...topics], userData })
}

export function decodeMember({ memberId, memberMetadata }: JoinResponse['members'][number]): GroupMember {
  const metadata = AssignerProtocol.MemberMetadata.decode(memberMetadata)
  const history = readHistory(metadata?.userData)
  return { id: memberId, topics: metadata?.topics ?? [], ...history }
}

/** The leader's part: who gets what. */
export function assign(members: readonly GroupMember[], partitionCounts: ReadonlyMap<string, number>) {
  return [...stickyAssignment(members, partitionCounts)].map(([memberId, partitions]) => ({
    memberId,
    memberAssignment: AssignerProtocol.MemberAssignment.encode({
      version: VERSION,
      assignment: partitionLists(partitions),
      userData: Buffer.alloc(0),
    }),
  }))
}

export function decodeAssignment(bytes: Buffer): readonly TopicPartition[] {
  // kafkajs answers null for the empty assignment of a member the leader left out.
  const assignment = AssignerProtocol.MemberAssignment.decode(bytes)?.assignment ?? {}
  return Object.keys(assignment).flatMap(topic => (assignment[topic] ?? []).map(partition => ({ topic, partition })))
}

function partitionLists(partitions: readonly TopicPartition[]): Record<string, number[]> {
  return Object.fromEntries([...byTopic(partitions)].map(([topic, list]) => [topic, list.map(({ partition }) => partition)]))
}

/** Another member wrote it: what does not fit is no history. */
function readHistory(userData: Buffer | undefined): { readonly owned: readonly TopicPartition[]; readonly generation: number } {
  const nothing = { owned: [], generation: -1 }
  if (userData === undefined || userData.length === 0) return nothing
  let history: unknown
  try {
    history = JSON.parse(userData.toString())
  } catch {
    return nothing
  }
  if (!isRecord(history) || typeof history['generation'] !== 'number' || !isRecord(history['owned'])) return nothing
  const owned: TopicPartition[] = []
  for (const [topic, partitions] of Object.entries(history['owned'])) {
    if (!Array.isArray(partitions)) continue
    for (const partition of partitions) if (Number.isSafeInteger(partition)) owned.push({ topic, partition })
  }
  return { owned, generation: history['generation'] }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
