import { Histogram } from 'prom-client'
import type { DurationSnapshot } from './snapshots.ts'

type BucketLabel = 'subscription' | 'le'

interface HistogramLine {
  readonly labels: Partial<Record<BucketLabel, string | number>>
  readonly value: number
  readonly metricName: string
}

interface HistogramText {
  readonly name: string
  readonly help: string
  readonly type: 'histogram'
  readonly values: readonly HistogramLine[]
}

/**
 * A histogram whose buckets were counted elsewhere. prom-client's own only learns by `observe()`, once per message; the hot path must not
 * pay for that.
 */
export class CountedHistogram extends Histogram<BucketLabel> {
  readonly #name: string
  readonly #help: string
  readonly #read: () => Iterable<readonly [subscription: string, durations: DurationSnapshot]>

  constructor(name: string, help: string, read: () => Iterable<readonly [string, DurationSnapshot]>) {
    super({ name, help, labelNames: ['subscription'], registers: [] })
    this.#name = name
    this.#help = help
    this.#read = read
  }

  /** What the registry calls, and the base class's `get()` too; its own version reads buckets that nobody fills here. */
  getForPromString(): Promise<HistogramText> {
    const values = [...this.#read()].flatMap(([subscription, durations]) => [...this.#lines(subscription, durations)])
    return Promise.resolve({ name: this.#name, help: this.#help, type: 'histogram', values })
  }

  *#lines(subscription: string, { boundsMs, counts, sumMs }: DurationSnapshot): Generator<HistogramLine> {
    let total = 0
    for (const [index, bound] of boundsMs.entries()) {
      total += counts[index] ?? 0
      yield { metricName: `${this.#name}_bucket`, labels: { subscription, le: bound / 1000 }, value: total }
    }
    total += counts[boundsMs.length] ?? 0
    yield { metricName: `${this.#name}_bucket`, labels: { subscription, le: '+Inf' }, value: total }
    yield { metricName: `${this.#name}_sum`, labels: { subscription }, value: sumMs / 1000 }
    yield { metricName: `${this.#name}_count`, labels: { subscription }, value: total }
  }
}
