import type { IncomingMessage, ServerResponse } from 'node:http'
import { respond, respondJson } from './respond.ts'

/** What the rest of the router knows about itself, asked at every request. */
export interface HealthEndpoints {
  ready(): { readonly ok: boolean; readonly body: unknown }
  metrics(): Promise<{ readonly contentType: string; readonly body: string }>
}

/** Answers `/healthz`, `/readyz` and, where `metricsAllowed`, `/metrics`. False where the path is none of them. */
export async function serveHealth(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  endpoints: HealthEndpoints,
  metricsAllowed: boolean,
): Promise<boolean> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return false
  if (path === '/healthz') {
    respondJson(response, 200, { status: 'ok' })
    return true
  }
  if (path === '/readyz') {
    const { ok, body } = endpoints.ready()
    respondJson(response, ok ? 200 : 503, body)
    return true
  }
  if (path !== '/metrics' || !metricsAllowed) return false
  const { contentType, body } = await endpoints.metrics()
  respond(response, 200, contentType, body)
  return true
}
