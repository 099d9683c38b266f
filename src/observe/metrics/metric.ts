import { Counter, Gauge, type Registry } from 'prom-client'

export type Label = 'subscription' | 'route' | 'outcome' | 'reason' | 'topic' | 'partition'
export type Sample = readonly [labels: Partial<Record<Label, string | number>>, value: number]

/** One family of samples, and where its values stand in what a scrape reads. */
export interface Metric<Source> {
  readonly type: 'counter' | 'gauge'
  readonly name: string
  readonly help: string
  readonly labels: readonly Label[]
  readonly samples: (of: Source) => Iterable<Sample>
}

type Samples<Source> = Metric<Source>['samples']

export function counter<Source>(name: string, help: string, value: (of: Source) => number): Metric<Source> {
  return labelledCounter(name, help, [], of => [[{}, value(of)]])
}

export function gauge<Source>(name: string, help: string, value: (of: Source) => number): Metric<Source> {
  return labelledGauge(name, help, [], of => [[{}, value(of)]])
}

export function labelledCounter<Source>(name: string, help: string, labels: readonly Label[], samples: Samples<Source>): Metric<Source> {
  return { type: 'counter', name, help, labels, samples }
}

export function labelledGauge<Source>(name: string, help: string, labels: readonly Label[], samples: Samples<Source>): Metric<Source> {
  return { type: 'gauge', name, help, labels, samples }
}

export function* byReason(counts: Iterable<readonly [string, number]>): Generator<Sample> {
  for (const [reason, count] of counts) yield [{ reason }, count]
}

/** Adds them to the registry: they are read from `source` whenever the registry is. */
export function registerMetrics<Source>(registry: Registry, source: () => Source, metrics: readonly Metric<Source>[]): void {
  const registers = [registry]
  for (const { type, name, help, labels, samples } of metrics) {
    if (type === 'counter')
      new Counter({
        name,
        help,
        labelNames: labels,
        registers,
        collect() {
          this.reset()
          for (const [labels, value] of samples(source())) this.inc(labels, value)
        },
      })
    else
      new Gauge({
        name,
        help,
        labelNames: labels,
        registers,
        collect() {
          this.reset()
          for (const [labels, value] of samples(source())) this.set(labels, value)
        },
      })
  }
}
