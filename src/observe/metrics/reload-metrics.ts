import type { ReloadSnapshot } from '../snapshots.ts'
import { gauge, labelledCounter, type Metric } from './metric.ts'

/** Changes of the configuration. */
export const reloadMetrics: readonly Metric<ReloadSnapshot>[] = [
  labelledCounter('signalbox_reloads_total', 'Configuration changes seen', ['outcome'], ({ applied, rejected }) => [
    [{ outcome: 'applied' }, applied],
    [{ outcome: 'rejected' }, rejected],
  ]),
  gauge('signalbox_config_generation', 'The generation of the configuration that is at work', r => r.generation),
]
