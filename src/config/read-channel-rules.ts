import { posix } from 'node:path'
import type { Problem } from '../diagnostics/problem.ts'
import { arePatternsTied, parseChannelPattern } from './channel-pattern.ts'
import type { ConfigReader } from './config-reader.ts'
import { handlerExtensions, splitHandlerPath } from './handler-path.ts'
import type { AuthorizeUse, ChannelLimits, ChannelRule, ConflateRule, HistoryRule } from './router-config.ts'
import { problemAt, type SourceDocument, type ValuePath } from './source-document.ts'

/** `channels:` of router.yaml. What cannot work is left out and reported. */
export function readChannelRules(reader: ConfigReader, fileExists: (file: string) => boolean, problems: Problem[]): readonly ChannelRule[] {
  const { document } = reader
  const written = reader.map(['channels'])
  if (written === undefined || document === undefined) return []
  const rules: ChannelRule[] = []
  for (const pattern of Object.keys(written)) {
    const path = ['channels', pattern]
    const tied = rules.find(rule => arePatternsTied(parseChannelPattern(rule.pattern), parseChannelPattern(pattern)))
    if (tied !== undefined) problems.push(tie(document, path, tied.pattern))
    const context = { reader, document, path, pattern, fileExists, problems }
    const authorize = readAuthorize(context)
    rules.push({
      pattern,
      access: readAccess(context),
      authorize,
      clientEvents: booleanOr(reader.value([...path, 'clientEvents'])),
      conflate: readConflate(reader, path),
      history: readHistory(context),
      limits: readLimits(reader, [...path, 'limits']),
    })
  }
  return rules
}

interface RuleContext {
  readonly reader: ConfigReader
  readonly document: SourceDocument
  readonly path: ValuePath
  readonly pattern: string
  readonly fileExists: (file: string) => boolean
  readonly problems: Problem[]
}

function tie(document: SourceDocument, path: ValuePath, other: string): Problem {
  const message = `\`${path.at(-1)}\` and \`${other}\` match the same channels, and neither counts more`
  const range = document.keyRangeOf(path)
  const related = [{ message: 'the other pattern', file: document.file, range: document.keyRangeOf(['channels', other]) }]
  return { ...problemAt(document, path, 'channel-rule', message, { hint: 'The longer start before the first `*` counts', range }), related }
}

function readAccess({ reader, document, path, pattern, problems }: RuleContext): ChannelRule['access'] {
  const access = reader.text([...path, 'access'])
  const hasModule = reader.value([...path, 'authorize']) !== undefined
  if (access === undefined) return hasModule ? 'authorize' : undefined
  const at = [...path, 'access']
  if (access === 'authorize' && !hasModule) {
    const hint = 'Write `authorize: ./handlers/may-join.ts`'
    problems.push(problemAt(document, at, 'channel-rule', '`access: authorize` needs the module that decides', { hint }))
  }
  if (access !== 'authorize' && hasModule) {
    const hint = 'Leave out `access`'
    problems.push(problemAt(document, at, 'channel-rule', `\`access: ${access}\` has no use for an \`authorize\` module`, { hint }))
  }
  if (access === 'public' && /^(private-|presence-|#)/.test(pattern)) {
    const hint = 'Clients ask for a signature before they subscribe to these: use `authorize`, or another name'
    problems.push(problemAt(document, at, 'channel-rule', `Channels \`${pattern}\` cannot be public`, { hint }))
  }
  return access === 'public' || access === 'signed' || access === 'authorize' ? access : undefined
}

function readAuthorize({ reader, document, path, fileExists, problems }: RuleContext): AuthorizeUse | undefined {
  const at = [...path, 'authorize']
  const written = reader.text(at)
  if (written === undefined) return undefined
  const { file, exportName } = splitHandlerPath(written)
  const module = posix.normalize(file)
  if (exportName === '') {
    problems.push(problemAt(document, at, 'handler-invalid', 'The name of the export is missing after #'))
    return undefined
  }
  if (!fileExists(module)) {
    const hint = 'Paths are relative to router.yaml, inside the project'
    problems.push(problemAt(document, at, 'handler-missing', `The module ${module} does not exist`, { hint }))
    return undefined
  }
  if (!handlerExtensions.some(extension => module.endsWith(extension))) {
    const hint = `Modules are ${handlerExtensions.join(' ')} files`
    problems.push(problemAt(document, at, 'handler-invalid', `${module} is not a handler module`, { hint }))
    return undefined
  }
  return { module, exportName, file: document.file, range: document.rangeOf(at) }
}

function readConflate(reader: ConfigReader, path: ValuePath): ConflateRule | undefined {
  const intervalMs = reader.duration([...path, 'conflate'], 0)
  if (intervalMs === 0) return undefined
  return {
    intervalMs,
    by: reader
      .text([...path, 'by'])
      ?.split('.')
      .slice(1),
  }
}

function readHistory({ reader, document, path: rule, pattern, problems }: RuleContext): HistoryRule | undefined {
  const path = [...rule, 'history']
  if (reader.map(path) === undefined) return undefined
  if (pattern.startsWith('#')) {
    const hint = 'Send what must not be missed to a private channel'
    problems.push(problemAt(document, path, 'channel-rule', 'Events to users are not kept: their channels have no history', { hint }))
  }
  return {
    size: reader.number([...path, 'size'], 100),
    ttlMs: reader.duration([...path, 'ttl'], 600_000),
    bytes: reader.size([...path, 'bytes'], 1_048_576),
  }
}

function readLimits(reader: ConfigReader, path: ValuePath): ChannelLimits {
  const limits: { -readonly [Name in keyof ChannelLimits]: ChannelLimits[Name] } = {}
  for (const name of ['subscribers', 'members', 'clientEvents'] as const) {
    const value = reader.number([...path, name], 0)
    if (value > 0) limits[name] = value
  }
  const data = reader.size([...path, 'data'], 0)
  if (data > 0) limits.data = data
  return limits
}

function booleanOr(value: unknown): boolean | undefined {
  return typeof value === 'boolean' ? value : undefined
}
