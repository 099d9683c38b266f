import type { RouterConfig } from '../config/router-config.ts'
import type { HotRealtimeConfig } from '../realtime/settings.ts'
import type { RouterAddress, RouterOptions } from './router-options.ts'

/** The part of the configuration that the realtime server takes over while it runs. In `dev` the inspector's page may connect, whatever origins the project names. */
export function hotConfig(
  { server, channels }: RouterConfig,
  mode: RouterOptions['mode'],
  { inspector }: RouterAddress,
): HotRealtimeConfig {
  if (server.origins === undefined || inspector === undefined || mode !== 'dev') return { ...server, channels }
  const pages = ['127.0.0.1', 'localhost'].map(host => `http://${host}:${inspector.port}`)
  return { ...server, origins: [...server.origins, ...pages], channels }
}
