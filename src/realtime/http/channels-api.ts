import { channelKind, channelNameFault } from '../channel-kind.ts'
import type { ApiCall, ApiRefusal, ApiResult } from './api.ts'
import { attributesFault, attributesOf, readAttributes } from './channel-attributes.ts'

/** `GET /channels`: the occupied channels. */
export async function listChannels({ app, query }: ApiCall): Promise<ApiResult> {
  const attributes = readAttributes(query.get('info'))
  if (typeof attributes === 'string') return badRequest(attributes)
  const prefix = query.get('filter_by_prefix') ?? ''
  const fault = attributesFault(prefix, attributes)
  if (fault !== undefined) return badRequest(`${fault}: narrow down with \`filter_by_prefix\``)
  const listed = [...(await app.backplane.channels(prefix))].filter(([name]) => channelKind(name).kind !== 'user')
  if (attributes.has('cache')) await Promise.all(listed.map(([name]) => app.backplane.catchUp(name)))
  return {
    body: { channels: Object.fromEntries(listed.map(([name, occupancy]) => [name, attributesOf(app, name, occupancy, attributes)])) },
  }
}

/** `GET /channels/{name}`. */
export async function showChannel({ app, name, query, context }: ApiCall): Promise<ApiResult> {
  const attributes = readAttributes(query.get('info'))
  if (typeof attributes === 'string') return badRequest(attributes)
  const fault = channelNameFault(name, context.settings.limits) ?? attributesFault(name, attributes)
  if (fault !== undefined) return badRequest(fault)
  const [occupancy] = await app.backplane.occupancy([name])
  if (attributes.has('cache')) await app.backplane.catchUp(name)
  return { body: { occupied: (occupancy?.subscriptions ?? 0) > 0, ...attributesOf(app, name, occupancy, attributes) } }
}

/** `GET /channels/{name}/users`, of presence channels. */
export async function listUsers({ app, name, context }: ApiCall): Promise<ApiResult> {
  const fault = channelNameFault(name, context.settings.limits)
  if (fault !== undefined) return badRequest(fault)
  if (channelKind(name).kind !== 'presence') return badRequest('Users are there for presence channels only')
  return { body: { users: (await app.backplane.users(name)).map(id => ({ id })) } }
}

function badRequest(error: string): ApiRefusal {
  return { status: 400, error }
}
