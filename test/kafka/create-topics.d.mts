import type { Admin, ITopicConfig } from 'kafkajs'

export function createTopics(admin: Admin, topics: ITopicConfig[]): Promise<void>
