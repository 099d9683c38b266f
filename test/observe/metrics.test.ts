import { describe, expect, test } from 'vitest'
import { createMetrics, type MetricsSources } from '../../src/observe/metrics.ts'
import type { SubscriptionSnapshot } from '../../src/observe/snapshots.ts'
import type { RealtimeStats } from '../../src/realtime/realtime-stats.ts'
import { quietRealtime } from './quiet-realtime.ts'

function subscription(changes: Partial<SubscriptionSnapshot> = {}): SubscriptionSnapshot {
  return {
    subscription: 'orders',
    received: 0,
    settled: 0,
    unmatched: 0,
    undecodable: 0,
    routes: [],
    skips: [],
    retries: 0,
    inFlight: 0,
    partitions: [],
    connected: true,
    pausedPartitions: 0,
    released: 0,
    repeated: 0,
    doneBefore: 0,
    commitFailures: 0,
    deadLetterWriteFailures: 0,
    deadLetterReferences: 0,
    retryTopics: { messages: 0, writeFailures: 0 },
    batches: { calls: 0, messages: 0 },
    breakers: { opened: 0, open: 0 },
    isUnshared: false,
    idempotency: { waits: 0, leasesLost: 0, storeFailures: 0, waitingForStore: 0, isUnshared: false },
    waitingForHistory: 0,
    durations: { boundsMs: [10, 1000], counts: [0, 0, 0], sumMs: 0 },
    ...changes,
  }
}

function metricsOf(changes: Partial<MetricsSources>) {
  return createMetrics({
    subscriptions: () => [],
    realtime: () => quietRealtime,
    reloads: () => ({ applied: 0, rejected: 0, generation: 1 }),
    ...changes,
  })
}

/** Sample lines by series, and the `# TYPE` of each family; fails on a line of any other shape. */
function parse(text: string) {
  const samples = new Map<string, number>()
  const types = new Map<string, string>()
  for (const line of text.split('\n').filter(line => line !== '' && !line.startsWith('# HELP '))) {
    const type = /^# TYPE (\w+) (counter|gauge|histogram|summary)$/.exec(line)
    if (type !== null) {
      types.set(String(type[1]), String(type[2]))
      continue
    }
    const sample = /^([a-z_]\w*(?:\{(?:\w+="(?:[^"\\]|\\.)*",?)*\})?) (\S+)$/i.exec(line)
    if (sample === null) throw new Error(`not Prometheus text: ${line}`)
    expect(samples.has(String(sample[1])), `${sample[1]} stands twice`).toBe(false)
    samples.set(String(sample[1]), Number(sample[2]))
  }
  return { samples, types }
}

describe('a subscription', () => {
  test('shows its counters and gauges, by route, outcome, reason and partition', async () => {
    const orders = subscription({
      received: 10,
      settled: 7,
      unmatched: 1,
      undecodable: 2,
      routes: [
        { route: 'orders/paid', outcomes: { done: 4, filtered: 1, skipped: 0, dropped: 0, duplicate: 0, dead_lettered: 2, failed: 0 } },
        { route: 'orders/new', outcomes: { done: 3, filtered: 0, skipped: 0, dropped: 1, duplicate: 0, dead_lettered: 0, failed: 5 } },
      ],
      skips: new Map([['no-event', 6]]),
      retries: 8,
      inFlight: 3,
      partitions: [
        { topic: 'orders', partition: 0, lag: 12 },
        { topic: 'orders', partition: 1, lag: undefined },
      ],
      connected: false,
      pausedPartitions: 1,
      released: 7,
      repeated: 8,
      doneBefore: 21,
      commitFailures: 9,
      deadLetterWriteFailures: 11,
      deadLetterReferences: 14,
      retryTopics: { messages: 12, writeFailures: 13 },
      batches: { calls: 4, messages: 17 },
    })
    const { samples } = parse(await metricsOf({ subscriptions: () => [orders] }).text())
    const read = (name: string, labels = '') => samples.get(`${name}{subscription="orders"${labels}}`)
    expect(read('signalbox_messages_received_total')).toBe(10)
    expect(read('signalbox_messages_settled_total')).toBe(7)
    expect(read('signalbox_retry_topic_messages_total')).toBe(12)
    expect(read('signalbox_retry_topic_write_failures_total')).toBe(13)
    expect(read('signalbox_batch_calls_total')).toBe(4)
    expect(read('signalbox_batch_messages_total')).toBe(17)
    expect(read('signalbox_messages_unmatched_total')).toBe(1)
    expect(read('signalbox_messages_undecodable_total')).toBe(2)
    expect(read('signalbox_route_outcomes_total', ',route="orders/paid",outcome="dead_lettered"')).toBe(2)
    expect(read('signalbox_route_outcomes_total', ',route="orders/new",outcome="failed"')).toBe(5)
    expect(read('signalbox_route_outcomes_total', ',route="orders/new",outcome="filtered"')).toBe(0)
    expect(read('signalbox_skips_total', ',reason="no-event"')).toBe(6)
    expect(read('signalbox_retries_total')).toBe(8)
    expect(read('signalbox_messages_in_flight')).toBe(3)
    expect(read('signalbox_consumer_lag_messages', ',topic="orders",partition="0"')).toBe(12)
    expect(read('signalbox_consumer_lag_messages', ',topic="orders",partition="1"')).toBeUndefined()
    expect(read('signalbox_consumer_connected')).toBe(0)
    expect(read('signalbox_consumer_paused_partitions')).toBe(1)
    expect(read('signalbox_messages_released_total')).toBe(7)
    expect(read('signalbox_messages_repeated_total')).toBe(8)
    expect(read('signalbox_messages_done_before_total')).toBe(21)
    expect(read('signalbox_commit_failures_total')).toBe(9)
    expect(read('signalbox_dead_letter_write_failures_total')).toBe(11)
    expect(read('signalbox_dead_letter_references_total')).toBe(14)
  })

  test('shows durations as a cumulative histogram in seconds', async () => {
    const durations = { boundsMs: [10, 1000], counts: [5, 2, 1], sumMs: 4500 }
    const { samples, types } = parse(await metricsOf({ subscriptions: () => [subscription({ durations })] }).text())
    const name = 'signalbox_message_duration_seconds'
    expect(types.get(name)).toBe('histogram')
    expect(samples.get(`${name}_bucket{subscription="orders",le="0.01"}`)).toBe(5)
    expect(samples.get(`${name}_bucket{subscription="orders",le="1"}`)).toBe(7)
    expect(samples.get(`${name}_bucket{subscription="orders",le="+Inf"}`)).toBe(8)
    expect(samples.get(`${name}_count{subscription="orders"}`)).toBe(8)
    expect(samples.get(`${name}_sum{subscription="orders"}`)).toBe(4.5)
  })

  test('that a reload removed disappears, and numbers are those of the moment', async () => {
    let current = [subscription({ received: 1 }), subscription({ subscription: 'profiles', received: 5 })]
    const metrics = metricsOf({ subscriptions: () => current })
    const before = parse(await metrics.text()).samples
    current = [subscription({ received: 2 })]
    const after = parse(await metrics.text()).samples
    expect(before.get('signalbox_messages_received_total{subscription="profiles"}')).toBe(5)
    expect(after.get('signalbox_messages_received_total{subscription="orders"}')).toBe(2)
    expect(after.has('signalbox_messages_received_total{subscription="profiles"}')).toBe(false)
  })

  test('with quotes and line breaks in a name still gives text that parses', async () => {
    const odd = subscription({ skips: [['a "quoted"\nreason\\', 1]] })
    const { samples } = parse(await metricsOf({ subscriptions: () => [odd] }).text())
    expect(samples.get('signalbox_skips_total{subscription="orders",reason="a \\"quoted\\"\\nreason\\\\"}')).toBe(1)
  })
})

test('the realtime server shows sockets, traffic, closes and refusals', async () => {
  const realtime: RealtimeStats = {
    sockets: 3,
    channels: 2,
    subscriptions: 4,
    queuedBytes: 100,
    framesOut: 50,
    bytesOut: 5000,
    broadcasts: 20,
    clientEvents: 21,
    conflated: 22,
    history: { channels: 5, bytes: 6, evicted: 7 },
    resumed: 26,
    replayed: 27,
    resumeFailures: { position_expired: 3 },
    webhooksSent: 23,
    webhookRetries: 24,
    webhookEventsDropped: 25,
    backplane: { connected: false, instances: 3, published: 26, received: 27, missed: 28, invalid: 29 },
    closes: { 'slow-consumer': 1 },
    refusals: { origin: 2 },
  }
  const { samples } = parse(await metricsOf({ realtime: () => realtime }).text())
  const shown = Object.fromEntries([...samples].filter(([name]) => name.startsWith('signalbox_realtime_')))
  expect(shown).toEqual({
    signalbox_realtime_sockets: 3,
    signalbox_realtime_channels: 2,
    signalbox_realtime_subscriptions: 4,
    signalbox_realtime_queue_bytes: 100,
    signalbox_realtime_frames_sent_total: 50,
    signalbox_realtime_sent_bytes_total: 5000,
    signalbox_realtime_broadcasts_total: 20,
    signalbox_realtime_client_events_total: 21,
    signalbox_realtime_conflated_total: 22,
    signalbox_realtime_resumed_total: 26,
    signalbox_realtime_replayed_total: 27,
    'signalbox_realtime_resume_failures_total{reason="position_expired"}': 3,
    signalbox_realtime_webhooks_sent_total: 23,
    signalbox_realtime_webhook_retries_total: 24,
    signalbox_realtime_webhook_events_dropped_total: 25,
    'signalbox_realtime_closes_total{reason="slow-consumer"}': 1,
    'signalbox_realtime_refusals_total{reason="origin"}': 2,
  })
})

test('reloads are counted by outcome, with the generation at work', async () => {
  const { samples } = parse(await metricsOf({ reloads: () => ({ applied: 4, rejected: 2, generation: 5 }) }).text())
  expect(samples.get('signalbox_reloads_total{outcome="applied"}')).toBe(4)
  expect(samples.get('signalbox_reloads_total{outcome="rejected"}')).toBe(2)
  expect(samples.get('signalbox_config_generation')).toBe(5)
})

test('counters end in _total, and no other family does', async () => {
  const { types } = parse(await metricsOf({ subscriptions: () => [subscription()] }).text())
  for (const [name, type] of types) {
    if (name.startsWith('signalbox_')) expect(name.endsWith('_total'), name).toBe(type === 'counter')
  }
})

test('two routers in one process do not share numbers, and each shows the process', async () => {
  const one = metricsOf({ subscriptions: () => [subscription({ received: 1 })] })
  const two = metricsOf({ subscriptions: () => [subscription({ received: 2 })] })
  const series = 'signalbox_messages_received_total{subscription="orders"}'
  expect(parse(await one.text()).samples.get(series)).toBe(1)
  expect(parse(await two.text()).samples.get(series)).toBe(2)
  expect(parse(await two.text()).samples.get('process_resident_memory_bytes')).toBeGreaterThan(0)
  expect(one.contentType).toMatch(/^text\/plain; version=0\.0\.4/)
})
