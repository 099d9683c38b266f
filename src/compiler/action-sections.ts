import { isMap, SourceSection } from './source-section.ts'

/** What has actions: the routes of a file, and `unmatched`. */
export function sectionsWithActions(file: SourceSection): readonly SourceSection[] {
  const routes = file.section('routes')
  return [...routes.keys().map(name => routes.section(name)), file.section('unmatched')]
}

/** Actions that are no maps are left out: the schema has reported them. */
export function actionsOf(route: SourceSection): readonly SourceSection[] {
  const list = route.value('actions')
  if (!Array.isArray(list)) return []
  return list.flatMap((value: unknown, index) =>
    isMap(value) ? new SourceSection(route.report, [...route.pathOf('actions'), index], value) : [],
  )
}

/** Each `retry` of a file that says `mode: topics`. */
export function topicRetries(file: SourceSection): readonly SourceSection[] {
  const withActions = sectionsWithActions(file)
  return [file.section('defaults'), ...withActions, ...withActions.flatMap(actionsOf)]
    .map(section => section.section('retry'))
    .filter(retry => retry.isReadable('mode') && retry.value('mode') === 'topics')
}
