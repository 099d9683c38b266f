import type { CommittedOffset, TopicPartition, TopicPartitionOffset } from '../broker.ts'
import type { KafkaConnection } from './kafka-connection.ts'

export type HeartbeatAnswer = 'ok' | 'rebalance' | 'lost'

/** Who holds the partitions, and in which generation of the group: Kafka takes commits of the present one only. */
export interface MemberTerm {
  readonly memberId: string
  readonly generation: number
}

/** How a consumer gets its partitions, and where it keeps its offsets. It outlives connections: `use` gives it the next. */
export interface Membership {
  /** Completes the sentence "cannot reach Kafka while ...". */
  readonly doing: string
  /** This member shares out the partitions: it is the one that has to notice new ones. */
  readonly leads: boolean
  /** The group had other members when this one joined last; whoever comes or goes later makes all join again. */
  readonly hasCompany: boolean
  use(connection: KafkaConnection): void
  /** Joins (again) and answers with this member's partitions. */
  join(topics: readonly string[]): Promise<readonly TopicPartition[]>
  /** Throws where no answer came. */
  heartbeat(): Promise<HeartbeatAnswer>
  /** What the last join gave it. */
  readonly term: MemberTerm
  /** Commits what was done in that term; rejects where it is over. */
  commit(offsets: readonly CommittedOffset[], term: MemberTerm): Promise<void>
  /** Commits before joining. False where others have decided already where to start. */
  commitFromOutside(offsets: readonly TopicPartitionOffset[]): Promise<boolean>
  /** What is committed for these partitions; those without a commit are left out. */
  committed(partitions: readonly TopicPartition[]): Promise<readonly CommittedOffset[]>
  /** Tells the others at once. */
  leave(): Promise<void>
  /** The next join is a new member's. */
  forget(): void
}
