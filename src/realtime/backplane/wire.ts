import { isUtf8 } from 'node:buffer'
import type { ChannelEvent } from '../delivery.ts'
import { type ByteString, jsonBytes } from '../frame.ts'
import type { PlacedEvent, Position } from '../history/history.ts'
import { parseValue } from '../json-fields.ts'

/**
 * What instances tell each other. A message is lines of fields with tabs between; every field with free text is a JSON string, which holds neither. The
 * first line says who sent it; `*` is a script, whose message is for its instance too. Events travel as the bytes that frames are made of, so that nobody parses their data on the way:
 *
 *     1 <instance>
 *     e <channel> <except> <user id> <event> <data>        an event; c: from a client
 *     h <channel> <epoch> <serial> <except> <event> <data> an event as the channel's history keeps it
 *     s <channel> <epoch> <serial>                         where the history stands, among its events
 *     + <channel> <user id> <incarnation> <info> <version> a member; -: one that left, without info
 *     n <channel> <subscriptions>                          how many subscribe in all
 *     t <user id>                                          a user whose connections end
 *
 * Redis is not asked who may write to it, so everything is checked, and a line grants nothing: it shows an event or a member, or ends a connection.
 */
export type Line =
  | { readonly kind: 'event'; readonly channel: string; readonly event: ChannelEvent; readonly except: string | undefined }
  | {
      readonly kind: 'member'
      readonly channel: string
      readonly userId: string
      readonly incarnation: string
      /** Undefined where the member left. */
      readonly present: { readonly info: string | undefined } | undefined
      readonly version: number
    }
  | { readonly kind: 'count'; readonly channel: string; readonly subscriptions: number }
  | { readonly kind: 'terminate'; readonly userId: string }
  | KeptLine
  | { readonly kind: 'stand'; readonly channel: string; readonly at: Position }

export interface KeptLine {
  readonly kind: 'kept'
  readonly channel: string
  readonly event: PlacedEvent
  readonly except: string | undefined
}

/** Events of these channels are wanted: the others are passed over without a look at them. */
export type IsWanted = (channel: string) => boolean

/** `undefined` stands for a line that is none. */
export type TakeLine = (line: Line | undefined) => void

const versionMark = '1 '
const socketId = /^[0-9.]{1,40}$/
const epochText = /^[A-Za-z0-9_-]{1,64}$/
const number = /^[0-9]{1,16}$/
/**
 * Inside a JSON string of bytes: all but control characters, quote and backslash stand for themselves. A part of it: the engine remembers every repetition, and
 * has room for some millions.
 */
const jsonPart = /[ !#-[\]-\xff]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[ !#-[\]-\xff]*){0,1000}/y
const quote = 0x22
const reservedEvent = /^"pusher(?:_internal)?:/

export function headOf(instance: string): ByteString {
  return `${versionMark}${instance}\n`
}

/** Messages of scripts are for every instance, the one that ran them among them. */
export const scriptHead = headOf('*')

export function eventLine(channel: string, { fromClient, userId, event, data }: ChannelEvent, except: string | undefined): ByteString {
  return `${fromClient === true ? 'c' : 'e'}\t${jsonBytes(channel)}\t${exceptField(except)}\t${userId ?? ''}\t${event}\t${data}\n`
}

/** What is no socket id is nobody's. */
export function exceptField(except: string | undefined): string {
  return except !== undefined && socketId.test(except) ? except : ''
}

/** A name that only the server itself sends. */
export function isReserved(event: string): boolean {
  return reservedEvent.test(JSON.stringify(event))
}

export function terminateLine(userId: string): ByteString {
  return `t\t${jsonBytes(userId)}\n`
}

/** Calls `take` with each line of a message that is not this instance's own. */
export function readMessage(bytes: Buffer, own: string, isWanted: IsWanted, take: TakeLine): void {
  const text = bytes.toString('latin1')
  const headEnd = text.indexOf('\n')
  if (text.slice(0, headEnd) === versionMark + own) return
  if (!text.startsWith(versionMark) || !text.endsWith('\n') || !isUtf8(bytes)) {
    take(undefined)
    return
  }
  for (let start = headEnd + 1; start < text.length; ) {
    const end = text.indexOf('\n', start)
    const kind = text.charAt(start)
    if (kind === 'e' || kind === 'c' || kind === 'h') readEvent(text, start, end, isWanted, take)
    else take(readRare(text.slice(start, end).split('\t')))
    start = end + 1
  }
}

/** One event line on its own, as it is kept for cache channels. */
export function readEventLine(bytes: Buffer): ChannelEvent | undefined {
  const text = bytes.toString('latin1')
  let event: ChannelEvent | undefined
  if (isUtf8(bytes) && text.endsWith('\n')) {
    const only = (line: Line | undefined): void => {
      if (line?.kind === 'event') event = line.event
    }
    readEvent(text, 0, text.length - 1, () => true, only)
  }
  return event
}

function readEvent(text: ByteString, start: number, end: number, isWanted: IsWanted, take: TakeLine): void {
  const channelEnd = text.indexOf('\t', start + 2)
  const channel = channelEnd === -1 || channelEnd > end ? undefined : plainText(text.slice(start + 2, channelEnd))
  if (channel !== undefined && !isWanted(channel)) return
  if (channel === undefined) {
    take(undefined)
    return
  }
  const fields = text.slice(channelEnd + 1, end).split('\t')
  take(text.charAt(start) === 'h' ? keptOf(channel, fields) : eventOf(text.charAt(start), channel, fields))
}

function keptOf(channel: string, fields: readonly ByteString[]): KeptLine | undefined {
  const [epoch = '', serial = '', except = '', event = '', data = ''] = fields
  const at = positionOf(epoch, serial)
  if (fields.length !== 5 || at === undefined || !isSoundEvent(except, event, data)) return undefined
  const placed = Object.assign(new ReceivedEvent(event, data, undefined, undefined), { at })
  return { kind: 'kept', channel, event: placed, except: except === '' ? undefined : except }
}

function isJsonString(text: ByteString): boolean {
  const end = text.length - 1
  if (end < 1 || text.charCodeAt(0) !== quote || text.charCodeAt(end) !== quote) return false
  let at = 1
  while (at < end) {
    jsonPart.lastIndex = at
    jsonPart.test(text)
    if (jsonPart.lastIndex === at) return false
    at = jsonPart.lastIndex
  }
  return at === end
}

function positionOf(epoch: string, serial: string): Position | undefined {
  return epochText.test(epoch) && number.test(serial) ? { epoch, serial: Number(serial) } : undefined
}

function isSoundEvent(except: string, event: ByteString, data: ByteString): boolean {
  return (except === '' || socketId.test(except)) && isJsonString(event) && !reservedEvent.test(event) && isJsonString(data)
}

function eventOf(kind: string, channel: string, fields: readonly ByteString[]): Line | undefined {
  const [except = '', userId = '', event = '', data = ''] = fields
  if (fields.length !== 4 || (userId !== '' && !isJsonString(userId)) || !isSoundEvent(except, event, data)) return undefined
  const received = new ReceivedEvent(event, data, userId === '' ? undefined : userId, kind === 'c' ? true : undefined)
  return { kind: 'event', channel, event: received, except: except === '' ? undefined : except }
}

function readRare(fields: readonly ByteString[]): Line | undefined {
  const [kind = '', first = '', second = '', third = '', fourth = '', fifth = ''] = fields
  const name = plainText(first)
  if (name === undefined) return undefined
  if (kind === 't' && fields.length === 2) return { kind: 'terminate', userId: name }
  if (kind === 'n' && fields.length === 3 && number.test(second)) return { kind: 'count', channel: name, subscriptions: Number(second) }
  if (kind === 's' && fields.length === 4) {
    const at = positionOf(second, third)
    return at === undefined ? undefined : { kind: 'stand', channel: name, at }
  }
  if ((kind !== '+' && kind !== '-') || fields.length !== 6) return undefined
  const userId = plainText(second)
  const info = fourth === '' ? { info: undefined } : jsonInfo(Buffer.from(fourth, 'latin1').toString('utf8'))
  if (userId === undefined || info === undefined || !number.test(fifth)) return undefined
  const present = kind === '+' ? info : undefined
  return { kind: 'member', channel: name, userId, incarnation: third, present, version: Number(fifth) }
}

/** A member's info as JSON; undefined where it is none. */
export function jsonInfo(written: string): { readonly info: string | undefined } | undefined {
  if (written === '') return { info: undefined }
  const value = parseValue(written)
  return value === undefined ? undefined : { info: JSON.stringify(value) }
}

/** What a JSON string says; most are ASCII without escapes. */
function plainText(json: ByteString): string | undefined {
  if (!isJsonString(json)) return undefined
  const inner = json.slice(1, -1)
  if (!/[\\\x80-\xff]/.test(inner)) return inner
  const value = parseValue(Buffer.from(json, 'latin1').toString('utf8'))
  return typeof value === 'string' ? value : undefined
}

/** Only caches and conflation look into the data. */
class ReceivedEvent implements ChannelEvent {
  readonly event: ByteString
  readonly data: ByteString
  readonly userId?: ByteString
  readonly fromClient?: true
  #text: string | undefined

  constructor(event: ByteString, data: ByteString, userId: ByteString | undefined, fromClient: true | undefined) {
    this.event = event
    this.data = data
    if (userId !== undefined) this.userId = userId
    if (fromClient !== undefined) this.fromClient = fromClient
  }

  get text(): string {
    this.#text ??= plainText(this.data) ?? ''
    return this.#text
  }
}
