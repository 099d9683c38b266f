import type { Subject } from './subject.ts'
import { readTopic } from './topic-reader.ts'

/** What an action of a message emitted. */
export interface Output {
  /** The message. */
  readonly of: string
  /** `begun` comes from before the handler, `done` from after it. */
  readonly event: string
  readonly note: string
}

/** The action that emits it, as a line of a route. */
export function emitting(topic: string, event: string, note = ''): string {
  return `      - emit: { topic: ${outputsOf(topic)}, event: ${event}, data: { of: "{{id}}", note: "${note}" } }\n`
}

/** The topic that the messages of another emit to. */
export function outputsOf(topic: string): string {
  return `${topic}-outputs`
}

/** Everything that was emitted. */
export async function readOutputs(subject: Subject): Promise<readonly Output[]> {
  const records = await readTopic(subject, outputsOf(subject.topic))
  return records.map(({ value }) => {
    const { event, data } = JSON.parse(String(value))
    return { of: data.of, event, note: data.note }
  })
}
