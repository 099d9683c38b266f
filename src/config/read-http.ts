import type { ConfigReader } from './config-reader.ts'
import type { HttpConfig } from './router-config.ts'

/** What `http:` in router.yaml allows `http` actions to reach. */
export function readHttp(reader: ConfigReader): HttpConfig {
  return {
    hosts: reader.texts(['http', 'hosts'])?.map(host => host.toLowerCase()),
    networks: reader.texts(['http', 'networks']) ?? [],
    responseBytes: reader.size(['http', 'limits', 'response'], 1_048_576),
  }
}
