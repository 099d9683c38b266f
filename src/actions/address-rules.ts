import ipaddr from 'ipaddr.js'
import type { HttpConfig } from '../config/router-config.ts'

/** Why a host must not be called; undefined where it may, as far as its name tells. An IPv6 address may stand in brackets. */
export function hostFault(hostname: string, rules: HttpConfig): { readonly message: string; readonly hint: string } | undefined {
  const host = hostname.replace(/^\[|\]$/g, '').toLowerCase()
  if (rules.hosts !== undefined && !rules.hosts.some(pattern => matchesHost(host, pattern)))
    return { message: `the host ${host} is not listed`, hint: 'Add it to `http.hosts` in router.yaml' }
  if (ipaddr.isValid(host) && !isAllowedAddress(host, rules)) return addressFault(host)
  return undefined
}

/** For a host all of whose addresses are refused. */
export function addressFault(host: string, address: string = host): { readonly message: string; readonly hint: string } {
  const which = address === host ? `${address} is a private address` : `${host} has a private address (${address})`
  return { message: which, hint: 'Add its network to `http.networks` in router.yaml, if it may be called' }
}

/** Addresses of the public internet, and those of `http.networks`. */
export function isAllowedAddress(text: string, { networks }: HttpConfig): boolean {
  // An IPv4 address inside an IPv6 one counts as what it is.
  const address = ipaddr.process(text)
  return address.range() === 'unicast' || networks.some(network => isInside(address, network))
}

function isInside(address: ipaddr.IPv4 | ipaddr.IPv6, network: string): boolean {
  const [base, prefix] = network.includes('/') ? ipaddr.parseCIDR(network) : alone(network)
  return base.kind() === address.kind() && address.match(base, prefix)
}

function alone(text: string): [ipaddr.IPv4 | ipaddr.IPv6, number] {
  const address = ipaddr.process(text)
  return [address, address.kind() === 'ipv4' ? 32 : 128]
}

/** `*.example.com` is every name below example.com, not example.com itself. */
function matchesHost(host: string, pattern: string): boolean {
  return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) && host.length > pattern.length - 1 : host === pattern
}
