import type { ActionSource, ActionType, DataSource, NameSource } from '../compiler/action-type.ts'
import { ActionSignal, type Attempt, type CompiledAction, type RenderedOutput } from '../compiler/plan.ts'
import type { Scope, Template } from '../compiler/scope.ts'
import type { Hub, Reach } from '../realtime/hub.ts'
import { chooseApp } from './broadcast-app.ts'

const noEvent = new ActionSignal('skip', 'no-event')
const nullData = new ActionSignal('skip', 'null-data')
const binaryData = new ActionSignal('skip', 'binary-data')
const noChannels: readonly string[] = []

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
  readonly reach: Reach
  /** router.yaml has several apps: people want to see which. */
  readonly isAppChosen: boolean
  readonly channel: NameSource
  /** The rest of `channels`. */
  readonly others: readonly NameSource[]
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
    : {
        app,
        reach: reachOf(source),
        isAppChosen: source.apps.length > 1,
        channel,
        others: [],
        event: undefined,
        data: undefined,
        except: undefined,
      }
}

function longForm(source: ActionSource): BroadcastParts | undefined {
  const { section } = source
  const channels = readChannels(source)
  const event = optionalName(source, 'event', 'event')
  const except = optionalName(source, 'except', 'id')
  const data = section.isReadable('data') ? source.data(section.pathOf('data'), section.value('data')) : undefined
  const app = chooseApp(source)
  const [channel, ...others] = channels ?? []
  const isWhole = isThere(section.has('event'), event) && isThere(section.has('except'), except) && isThere(section.has('data'), data)
  if (!isWhole || channel === undefined || app === undefined) return undefined
  return { app, reach: reachOf(source), isAppChosen: source.apps.length > 1, channel, others, event, data, except }
}

/** What every instance does for itself is not sent to the others again. */
function reachOf({ role }: ActionSource): Reach {
  return role === 'fanout' ? 'here' : 'all'
}

/** Undefined where one of them could not be compiled. */
function readChannels({ section, path, ...source }: ActionSource): readonly NameSource[] | undefined {
  const written = [...section.elements('channel'), ...section.elements('channels')]
  const channels: NameSource[] = []
  for (const { path: place, value } of written) {
    const isReadable = typeof value === 'string' && section.report.document.isSound(place)
    const channel = isReadable ? source.name(place, value, 'channel') : undefined
    if (channel !== undefined) channels.push(channel)
  }
  if (written.length === 0 && section.report.document.isSound(path))
    source.report(path, 'schema-missing-key', 'A broadcast needs a channel', 'Add channel: "user.{{data.user_id}}"')
  return channels.length === written.length ? channels : undefined
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
  const { channel, others } = parts
  const summary = `broadcast ${[channel, ...others].map(({ text }) => text).join(', ')}`
  const isPlain = others.length === 0 && parts.data === undefined && parts.event === undefined && parts.except === undefined
  return {
    kind: 'broadcast',
    isLocal: true,
    summary,
    targets: [channel, ...others].map(({ text }) => ({ kind: 'channel', name: text, app: parts.app })),
    run: isPlain ? passThrough(hub, parts, channel.render) : general(hub, parts),
    render: renderer(parts),
  }
}

/** Runs the same code against a hub that everybody listens to and that keeps what it is told. */
function renderer(parts: BroadcastParts): CompiledAction['render'] {
  return (scope, attempt) => {
    const sent: RenderedOutput[] = []
    const keeping: Hub = {
      hasSubscribers: () => true,
      broadcast: (app, channel, event, data, except) =>
        void sent.push({
          action: 'broadcast',
          channel,
          event,
          data,
          ...(except === undefined ? {} : { except }),
          ...(parts.isAppChosen ? { app } : {}),
        }),
    }
    const signal = general(keeping, parts)(scope, attempt)
    return signal instanceof ActionSignal ? signal : sent
  }
}

/** A promise where a history takes time to keep the event. */
type Run = (scope: Scope, attempt: Attempt) => ActionSignal | undefined | Promise<void>

/** One channel, the message's own name and data: most broadcasts are this. */
function passThrough(hub: Hub, { app, reach }: BroadcastParts, renderChannel: Template<string>): Run {
  return (scope, attempt) => {
    const { event, data } = scope
    if (event === undefined) return noEvent
    if (data === undefined || data === null) return nullData
    if (data instanceof Uint8Array) return binaryData
    const channel = renderChannel(scope)
    if (!hub.hasSubscribers(app, channel, reach)) return undefined
    return hub.broadcast(app, channel, event, data, undefined, attempt, reach) ?? undefined
  }
}

function general(hub: Hub, parts: BroadcastParts): Run {
  const { app, reach } = parts
  const renderFirst = parts.channel.render
  const renderOthers = parts.others.map(({ render }) => render)
  const renderEvent = parts.event?.render
  const renderData = parts.data?.render
  const isDataNeeded = parts.data?.canFail === true
  const readExcept = parts.except === undefined ? undefined : optionalText(parts.except)
  return (scope, attempt) => {
    if (renderEvent === undefined && scope.event === undefined) return noEvent
    if (scope.data === undefined || scope.data === null) return nullData
    if (renderData === undefined && scope.data instanceof Uint8Array) return binaryData
    const event = renderEvent === undefined ? scope.event : renderEvent(scope)
    if (event === undefined) return noEvent
    // Every channel is rendered before the first is sent to: a value that one of them refuses must not leave half a broadcast behind.
    const channel = renderFirst(scope)
    const others = renderOthers.length === 0 ? noChannels : renderOthers.map(render => render(scope))
    const isHeard = hub.hasSubscribers(app, channel, reach) || others.some(other => hub.hasSubscribers(app, other, reach))
    const except = readExcept?.(scope)
    if (!isHeard && !isDataNeeded) return undefined
    const data = renderData === undefined ? scope.data : renderData(scope)
    if (data === undefined || data === null) return nullData
    if (data instanceof Uint8Array) return binaryData
    let pending = hub.hasSubscribers(app, channel, reach) ? hub.broadcast(app, channel, event, data, except, attempt, reach) : undefined
    for (const other of others) {
      if (hub.hasSubscribers(app, other, reach)) pending = both(pending, hub.broadcast(app, other, event, data, except, attempt, reach))
    }
    return pending ?? undefined
  }
}

/** What has to be waited for, if anything: both, even where one fails, so that no rejection is nobody's. */
function both(one: void | Promise<void>, other: void | Promise<void>): void | Promise<void> {
  if (one === undefined || other === undefined) return one ?? other
  return Promise.all([one, other]).then(() => undefined)
}

/** A lone path that is missing or null is no name at all, rather than an error. */
function optionalText(name: NameSource): Template<string | undefined> {
  const { lonePath, render } = name
  if (lonePath === undefined) return render
  return scope => (lonePath(scope) === undefined || lonePath(scope) === null ? undefined : render(scope))
}
