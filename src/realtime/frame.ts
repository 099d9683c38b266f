/**
 * WebSocket frames as *byte strings*: strings of which every character is one byte (0-255), written with the encoding `latin1`. Joining the frames
 * of a turn is then string concatenation, one shared frame costs no copy per socket, and `length` is the number of bytes.
 */
export type ByteString = string

/** UTF-8 bytes of `text` as a byte string. Text of ASCII alone, which is most of it, is its own byte string. */
export function utf8Bytes(text: string): ByteString {
  return Buffer.byteLength(text) === text.length ? text : Buffer.from(text, 'utf8').toString('latin1')
}

/** An unmasked text frame, as a server sends it (RFC 6455, section 5.2). */
export function textFrame(payload: ByteString): ByteString {
  return header(0x81, payload.length) + payload
}

/** The answer to a ping of the WebSocket layer; `payload` has at most 125 bytes, which the receiver has checked. */
export function pongFrame(payload: Buffer): ByteString {
  return header(0x8a, payload.length) + payload.toString('latin1')
}

/** An event for the subscribers of a channel. All parts are JSON strings (quoted) as bytes. */
export function eventFrame(event: ByteString, channel: ByteString, data: ByteString, userId?: ByteString): ByteString {
  const from = userId === undefined ? '' : `,"user_id":${userId}`
  return textFrame(`{"event":${event},"channel":${channel},"data":${data}${from}}`)
}

/** A JSON string (quoted) as bytes. */
export function jsonBytes(text: string): ByteString {
  return utf8Bytes(JSON.stringify(text))
}

/** What an unmasked text frame holds. */
export function framePayload(frame: ByteString): ByteString {
  const length = frame.charCodeAt(1)
  return frame.slice(length === 127 ? 10 : length === 126 ? 4 : 2)
}

/** A message of the protocol itself, off the hot path. */
export function messageFrame(message: ServerMessage): ByteString {
  return textFrame(utf8Bytes(JSON.stringify(message)))
}

/** `data` is a JSON string in most messages, an object in `pusher:error` and `pusher:subscription_error`, and missing in `pusher:cache_miss`. */
export interface ServerMessage {
  readonly event: string
  readonly channel?: string
  readonly data?: string | Readonly<Record<string, unknown>>
}

function header(firstByte: number, length: number): ByteString {
  if (length <= 125) return String.fromCharCode(firstByte, length)
  if (length <= 0xffff) return String.fromCharCode(firstByte, 126, length >>> 8, length & 0xff)
  // A 64-bit length; what a frame holds here stays far below 2^32.
  return String.fromCharCode(firstByte, 127, 0, 0, 0, 0, length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff)
}
