import { channelKind, channelNameFault } from '../channel-kind.ts'
import type { ApiCall, ApiRefusal, ApiResult } from './api.ts'
import { attributesFault, attributesOf, readAttributes } from './channel-attributes.ts'

/** `GET /channels`: the occupied channels. */
export function listChannels({ app, query }: ApiCall): ApiResult {
  const attributes = readAttributes(query.get('info'))
  if (typeof attributes === 'string') return badRequest(attributes)
  const prefix = query.get('filter_by_prefix') ?? ''
  const fault = attributesFault(prefix, attributes)
  if (fault !== undefined) return badRequest(`${fault}: narrow down with \`filter_by_prefix\``)
  const listed = [...app.channels.values()].filter(({ name, kind }) => kind.kind !== 'user' && name.startsWith(prefix))
  return { body: { channels: Object.fromEntries(listed.map(({ name }) => [name, attributesOf(app, name, attributes)])) } }
}

/** `GET /channels/{name}`. */
export function showChannel({ app, name, query, context }: ApiCall): ApiResult {
  const attributes = readAttributes(query.get('info'))
  if (typeof attributes === 'string') return badRequest(attributes)
  const fault = channelNameFault(name, context.settings.limits) ?? attributesFault(name, attributes)
  if (fault !== undefined) return badRequest(fault)
  return { body: { occupied: app.channels.has(name), ...attributesOf(app, name, attributes) } }
}

/** `GET /channels/{name}/users`, of presence channels. */
export function listUsers({ app, name, context }: ApiCall): ApiResult {
  const fault = channelNameFault(name, context.settings.limits)
  if (fault !== undefined) return badRequest(fault)
  if (channelKind(name).kind !== 'presence') return badRequest('Users are there for presence channels only')
  return { body: { users: [...(app.channels.get(name)?.members?.keys() ?? [])].map(id => ({ id })) } }
}

function badRequest(error: string): ApiRefusal {
  return { status: 400, error }
}
