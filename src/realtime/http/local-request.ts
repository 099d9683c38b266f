import type { IncomingMessage } from 'node:http'

/**
 * True for a request from this very machine. A proxy on the machine makes every request look local, so whatever carries the mark of a proxy is
 * not.
 */
export function isLocalRequest(request: IncomingMessage): boolean {
  return isLoopback(request.socket.remoteAddress) && !Object.keys(request.headers).some(isForwardingHeader)
}

function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false
  return address === '::1' || /^(::ffff:)?127\./.test(address)
}

function isForwardingHeader(name: string): boolean {
  return name === 'forwarded' || name === 'via' || name.startsWith('x-forwarded-') || name === 'x-real-ip'
}
