import type { Broker } from 'kafkajs'

/** What kafkajs pairs for one request (2.2.4, src/protocol/requests). */
export interface Exchange {
  readonly request: { readonly apiVersion: number }
  readonly response: { decode(raw: Buffer): Promise<unknown>; parse(decoded: unknown): Promise<unknown> }
}

/**
 * The same broker, which handles one kind of request in another way: kafkajs goes on keeping the connection. Throws where kafkajs is not the version
 * this was written for, and its requests do where `adapt` throws.
 */
export function withExchange(broker: Broker, apiKey: number, adapt: (exchange: Exchange, request: unknown) => Exchange): unknown {
  const lookup = {
    value: (key: number, definitions: unknown) => {
      const build = lookUp(broker, key, definitions)
      if (key !== apiKey) return build
      return (request: unknown) => adapt(exchangeOf(build(request)), request)
    },
  }
  return Object.create(broker, { lookupRequest: lookup })
}

/** The exchange, if the broker speaks one of the versions between. */
export function assertVersion({ request: { apiVersion } }: Exchange, what: string, first: number, last: number): void {
  if (apiVersion < first || apiVersion > last)
    throw new Error(`the broker takes ${what} in version ${apiVersion}: Kafka 0.11 or newer is needed`)
}

/** One step into something that kafkajs has made. */
export function at(value: unknown, key: string | number): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
}

/** The list at that place; empty where there is none. */
export function listAt(value: unknown, key: string): readonly unknown[] {
  const list = at(value, key)
  return Array.isArray(list) ? list : []
}

function lookUp(broker: Broker, apiKey: number, definitions: unknown): (request: unknown) => unknown {
  const lookupRequest: unknown = Reflect.get(broker, 'lookupRequest')
  const build: unknown = typeof lookupRequest === 'function' ? Reflect.apply(lookupRequest, broker, [apiKey, definitions]) : undefined
  if (typeof build !== 'function') throw new Error('kafkajs looks requests up in another way: it is not the version this was written for')
  return request => Reflect.apply(build, undefined, [request])
}

function exchangeOf(built: unknown): Exchange {
  if (!isExchange(built)) throw new Error('kafkajs describes requests in another way: it is not the version this was written for')
  return built
}

function isExchange(value: unknown): value is Exchange {
  const response = at(value, 'response')
  const isDecoder = typeof at(response, 'decode') === 'function' && typeof at(response, 'parse') === 'function'
  return isDecoder && typeof at(at(value, 'request'), 'apiVersion') === 'number'
}
