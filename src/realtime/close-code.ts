/**
 * Close codes as Pusher documents them. What pusher-js 8.6 does on each: 4000-4099 never reconnects, 4100-4199 reconnects after a second,
 * 4200-4299 at once; of the general ones 1003 and 1009 reconnect after a second.
 */
export const closeCodes = {
  /** Binary frames are not part of the protocol. */
  binaryFrame: 1003,
  unknownKey: 4001,
  unsupportedProtocol: 4007,
  appOverCapacity: 4004,
  noProtocol: 4008,
  /** The connection is unauthorized: the origin may not connect, or the app ended the user's connections. */
  unauthorized: 4009,
  /** Over capacity: too many sockets, a client that reads too slowly or sends too fast, a server that stops. The client comes back after a pause. */
  overCapacity: 4100,
  /** The general error: the code of `pusher:error` for a message that makes no sense. */
  invalidMessage: 4200,
  /** The same number as a close code: the client comes back at once. */
  reconnect: 4200,
  pongMissing: 4201,
} as const

/** `pusher:error` for client events; never closes. */
export const clientEventRefused = 4301
