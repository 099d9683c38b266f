import type { ActionSource, ActionType, DataSource, NameSource } from '../compiler/action-type.ts'
import { ActionSignal, type Attempt, type CompiledAction } from '../compiler/plan.ts'
import type { Scope, Template } from '../compiler/scope.ts'
import type { Hub } from '../realtime/hub.ts'
import { chooseApp } from './broadcast-app.ts'

const noEvent = new ActionSignal('skip', 'no-event')
const nullData = new ActionSignal('skip', 'null-data')
const binaryData = new ActionSignal('skip', 'binary-data')

/**
 * `broadcast`: one event to the subscribers of one or several channels. A message without a name or with null data is not
 * broadcast. Channels and event name are always rendered, so that a message fails or not whoever listens; data only where
 * somebody does, or where rendering it can fail.
 */
export function broadcastAction(hub: Hub): ActionType {
  return {
    key: 'broadcast',
    compile(source) {
      const parts = typeof source.value === 'string' ? shortForm(source, source.value) : longForm(source)
      return parts === undefined ? undefined : build(hub, parts)
    },
  }
}

interface BroadcastParts {
  readonly app: string
  readonly channels: readonly NameSource[]
  /** Undefined: the message's own name. */
  readonly event: NameSource | undefined
  /** Undefined: the message's own data. */
  readonly data: DataSource | undefined
  readonly except: NameSource | undefined
}

function shortForm(source: ActionSource, text: string): BroadcastParts | undefined {
  if (!source.siblings.isReadable('broadcast')) return undefined
  const channel = source.name(source.path, text, 'channel')
  const app = chooseApp(source)
  return channel === undefined || app === undefined
    ? undefined
    : { app, channels: [channel], event: undefined, data: undefined, except: undefined }
}

function longForm(source: ActionSource): BroadcastParts | undefined {
  const { section } = source
  const written = [...section.elements('channel'), ...section.elements('channels')]
  const channels: NameSource[] = []
  for (const { path, value } of written) {
    const isReadable = typeof value === 'string' && section.report.document.isSound(path)
    const channel = isReadable ? source.name(path, value, 'channel') : undefined
    if (channel !== undefined) channels.push(channel)
  }
  if (written.length === 0 && section.report.document.isSound(source.path))
    source.report(source.path, 'schema-missing-key', 'A broadcast needs a channel', 'add channel: "user.{{data.user_id}}"')
  const event = optionalName(source, 'event', 'event')
  const except = optionalName(source, 'except', 'id')
  const data = section.isReadable('data') ? source.data(section.pathOf('data'), section.value('data')) : undefined
  const app = chooseApp(source)
  const isWhole =
    written.length > 0 &&
    channels.length === written.length &&
    isThere(section.has('event'), event) &&
    isThere(section.has('except'), except)
  return isWhole && isThere(section.has('data'), data) && app !== undefined ? { app, channels, event, data, except } : undefined
}

/** False where something is written and could not be compiled. */
function isThere(isWritten: boolean, compiled: unknown): boolean {
  return !isWritten || compiled !== undefined
}

function optionalName(source: ActionSource, key: string, place: 'event' | 'id'): NameSource | undefined {
  const text = source.section.text(key)
  return text === undefined ? undefined : source.name(source.section.pathOf(key), text, place)
}

function build(hub: Hub, parts: BroadcastParts): CompiledAction {
  const summary = `broadcast ${parts.channels.map(channel => channel.text).join(', ')}`
  const [channel, second] = parts.channels
  const isPlain =
    channel !== undefined && second === undefined && parts.data === undefined && parts.event === undefined && parts.except === undefined
  return { kind: 'broadcast', summary, run: isPlain ? passThrough(hub, parts.app, channel.render) : general(hub, parts) }
}

type Run = (scope: Scope, attempt: Attempt) => ActionSignal | undefined

/** One channel, the message's own name and data: most broadcasts are this. */
function passThrough(hub: Hub, app: string, renderChannel: Template<string>): Run {
  return scope => {
    const { event, data } = scope
    if (event === undefined) return noEvent
    if (data === undefined || data === null) return nullData
    if (data instanceof Uint8Array) return binaryData
    const channel = renderChannel(scope)
    if (hub.hasSubscribers(app, channel)) hub.broadcast(app, channel, event, data)
    return undefined
  }
}

function general(hub: Hub, parts: BroadcastParts): Run {
  const { app } = parts
  const renders = parts.channels.map(channel => channel.render)
  const renderEvent = parts.event?.render
  const renderData = parts.data?.render
  const isDataNeeded = parts.data?.canFail === true
  const readExcept = parts.except === undefined ? undefined : optionalText(parts.except)
  return scope => {
    if (renderEvent === undefined && scope.event === undefined) return noEvent
    if (scope.data === undefined || scope.data === null) return nullData
    if (renderData === undefined && scope.data instanceof Uint8Array) return binaryData
    const event = renderEvent === undefined ? scope.event : renderEvent(scope)
    if (event === undefined) return noEvent
    // Every channel is rendered before the first is sent to: a value that one of them refuses must not leave half a broadcast behind.
    const channels: string[] = []
    let isHeard = false
    for (const render of renders) {
      const channel = render(scope)
      channels.push(channel)
      if (!isHeard) isHeard = hub.hasSubscribers(app, channel)
    }
    const except = readExcept?.(scope)
    if (!isHeard && !isDataNeeded) return undefined
    const data = renderData === undefined ? scope.data : renderData(scope)
    if (data === undefined || data === null) return nullData
    if (data instanceof Uint8Array) return binaryData
    for (const channel of channels) if (hub.hasSubscribers(app, channel)) hub.broadcast(app, channel, event, data, except)
    return undefined
  }
}

/** A lone path that is missing or null is no name at all, rather than an error. */
function optionalText(name: NameSource): Template<string | undefined> {
  const { lonePath, render } = name
  if (lonePath === undefined) return render
  return scope => (lonePath(scope) === undefined || lonePath(scope) === null ? undefined : render(scope))
}
