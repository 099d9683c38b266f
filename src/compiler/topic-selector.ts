import { topicNameFault } from './name-place.ts'
import { compilePattern } from './pattern.ts'
import type { TopicPattern, TopicSelector } from './plan.ts'
import { isRetryTopic } from './retry-topics.ts'
import { isMap, type SourceSection } from './source-section.ts'

/** Of the default dead-letter topic, `<topic>.dlq`. */
const dlqSuffix = '.dlq'
const replaySuffix = '.signalbox-replay'

/** The topic in which dead letters come back to the group that wrote them; undefined where the name would be too long for one. */
export function replayTopicOf(group: string): string | undefined {
  const topic = `${group}${replaySuffix}`
  return topicNameFault(topic) === undefined ? topic : undefined
}

/**
 * Compiles `topics`. Patterns never match internal topics (`__*`), `*.dlq`, topics of replays and retries, nor the topics in `deadLetterTopics`: a route must not
 * eat its own dead letters.
 */
export function compileTopics(section: SourceSection, deadLetterTopics: ReadonlySet<string>): TopicSelector {
  const { report } = section
  const names = new Set<string>()
  const patterns: TopicPattern[] = []
  for (const { path, value } of section.elements('topics')) {
    if (isMap(value)) {
      const source = value['pattern']
      if (typeof source !== 'string' || !report.document.isSound([...path, 'pattern'])) continue
      const search = compilePattern(report, [...path, 'pattern'], source)
      if (search === undefined) continue
      patterns.push({
        source,
        matches: topic =>
          !topic.startsWith('__') &&
          !topic.endsWith(dlqSuffix) &&
          !topic.endsWith(replaySuffix) &&
          !isRetryTopic(topic) &&
          !deadLetterTopics.has(topic) &&
          search(topic),
      })
    } else if (typeof value === 'string' && report.document.isSound(path)) {
      const fault = topicNameFault(value)
      if (fault !== undefined)
        report.at(
          path,
          'topic-name',
          fault,
          value.includes('*') ? 'For several topics write { pattern: "^orders\\\\." }' : 'A topic name takes letters, digits and . _ -',
        )
      else names.add(value)
    }
  }
  return { names: [...names], patterns }
}
