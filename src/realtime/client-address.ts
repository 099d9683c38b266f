import type { IncomingMessage } from 'node:http'
import { BlockList, isIP, isIPv6 } from 'node:net'

/** Where a request comes from. */
export type AddressOf = (request: IncomingMessage) => string

/**
 * Proxies append the address they see to `X-Forwarded-For`: read from its end, the first that is no trusted proxy is the client's. What stands before
 * it is the client's own claim.
 */
export function addressRule(trustedProxies: readonly string[]): AddressOf {
  const trusted = new BlockList()
  for (const proxy of trustedProxies) {
    const [address = '', prefix] = proxy.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    if (prefix === undefined) trusted.addAddress(address, family)
    else trusted.addSubnet(address, Number(prefix), family)
  }
  const isTrusted = (address: string): boolean => isIP(address) !== 0 && trusted.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
  return ({ socket, headers }) => {
    let address = plainAddress(socket.remoteAddress ?? '')
    if (trustedProxies.length === 0) return network(address)
    const forwarded = [headers['x-forwarded-for'] ?? []].flat().join(',').split(',')
    for (let hop = forwarded.pop(); hop !== undefined && isTrusted(address); hop = forwarded.pop()) {
      const claimed = plainAddress(hop.trim())
      if (isIP(claimed) === 0) break
      address = claimed
    }
    return network(address)
  }
}

/** IPv4 as it is written where it is mapped into IPv6. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '')
}

/** Whoever has an IPv6 address has all of its /64 network. */
function network(address: string): string {
  if (!isIPv6(address)) return address
  const [start = '', end] = address.split('%', 1)[0]?.split('::') ?? []
  const head = start.split(':').filter(group => group !== '')
  const tail = end?.split(':').filter(group => group !== '') ?? []
  const zeros = Array.from({ length: Math.max(0, 8 - head.length - tail.length) }, () => '0')
  return `${[...head, ...zeros, ...tail]
    .slice(0, 4)
    .map(group => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`
}
