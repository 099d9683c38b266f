import type { BackplaneConfig } from '../../config/router-config.ts'
import type { LiveSettings } from '../settings.ts'
import type { Backplane, BackplaneLog } from './backplane.ts'
import { LocalBackplane } from './local-backplane.ts'
import { RedisBackplane } from './redis-backplane.ts'

/** The backplane of router.yaml's `backplane`; it reaches nobody before it is opened. */
export function createBackplane(config: BackplaneConfig, settings: LiveSettings, log: BackplaneLog): Backplane {
  switch (config.type) {
    case 'local':
      return new LocalBackplane(settings)
    case 'redis':
      return new RedisBackplane({ ...config, settings, log })
  }
}
