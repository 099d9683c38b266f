import { didYouMean } from '../config/did-you-mean.ts'
import { splitPath } from './field-path.ts'
import type { EnvelopePlan } from './plan.ts'
import { isMap, type SourceSection } from './source-section.ts'

const kinds = ['auto', 'event', 'cloudevents', 'raw'] as const
const roots = ['value', 'headers', 'key'] as const

/** How the bytes of a message become an event; a mapping says by path where its id, name and data are. */
export function compileEnvelope(section: SourceSection): EnvelopePlan {
  if (!isMap(section.value('envelope'))) return { kind: section.oneOf('envelope', kinds) ?? 'auto' }
  const mapping = section.section('envelope')
  const id = mappingPath(mapping, 'id')
  const event = mappingPath(mapping, 'event')
  const data = mappingPath(mapping, 'data')
  return { kind: 'mapping', ...(id && { id }), ...(event && { event }), ...(data && { data }) }
}

function mappingPath(mapping: SourceSection, key: string): readonly string[] | undefined {
  const text = mapping.text(key)
  if (text === undefined) return undefined
  const path = mapping.pathOf(key)
  const parts = splitPath(text)?.parts
  const [root = ''] = parts ?? []
  if (parts !== undefined && roots.some(name => name === root)) return parts
  const near = didYouMean(root, roots)
  const hint = near === undefined ? 'Start with value, headers or key: value.payload' : `Did you mean \`${near}\`?`
  if (parts === undefined) mapping.report.at(path, 'template-syntax', `\`${text}\` is not a path`, hint)
  else mapping.report.inText(path, 0, root.length, 'template-root', `\`${root}\` is not a part of a message`, hint)
  return undefined
}
