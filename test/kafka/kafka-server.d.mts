import type { KafkaServer, KafkaServerOptions } from './kafka-server.ts'

export function startKafka(options?: KafkaServerOptions): Promise<KafkaServer>
export function missingForKafka(): Promise<string | undefined>
