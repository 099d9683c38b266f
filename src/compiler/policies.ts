import { parseDuration } from '../config/duration.ts'
import { topicNameFault } from './name-place.ts'
import type { BreakerPolicy, DeadLetterPolicy, RetryPolicy } from './plan.ts'
import { isMap, type SourceSection } from './source-section.ts'

/** The policies that hold at one level: app, file, route or action. */
export interface Policies {
  readonly timeoutMs: number
  readonly retry: RetryPolicy
  readonly breaker: BreakerPolicy & { readonly isOff: boolean }
  readonly deadLetter: DeadLetterChoice
}

/** `deadLetter`, `onFailure` and `deadLetterOversize` are inherited one by one; only together they make a policy. */
interface DeadLetterChoice {
  readonly topic: string | undefined
  readonly isOff: boolean
  readonly onFailure: 'skip' | 'stop' | undefined
  readonly oversize: 'stop' | 'reference' | undefined
}

const builtInPolicies: Policies = {
  timeoutMs: 30_000,
  retry: { attempts: 5, backoff: 'exponential', delayMs: 500, maxDelayMs: 30_000, jitter: 'full', mode: 'in-order' },
  breaker: { failures: 20, resetMs: 10_000, isOff: false },
  deadLetter: { topic: undefined, isOff: false, onFailure: undefined, oversize: undefined },
}

/** router.yaml's `defaults`, already checked where it was read. */
export function appPolicies(defaults: Readonly<Record<string, unknown>>): Policies {
  const retry = isMap(defaults['retry']) ? defaults['retry'] : {}
  const base = builtInPolicies.retry
  return {
    timeoutMs: durationOf(defaults['timeout']) ?? builtInPolicies.timeoutMs,
    retry: {
      attempts: typeof retry['attempts'] === 'number' ? retry['attempts'] : base.attempts,
      backoff: backoffs.find(name => name === retry['backoff']) ?? base.backoff,
      delayMs: durationOf(retry['delay']) ?? base.delayMs,
      maxDelayMs: durationOf(retry['maxDelay']) ?? base.maxDelayMs,
      jitter: jitters.find(name => name === retry['jitter']) ?? base.jitter,
      mode: modes.find(name => name === retry['mode']) ?? base.mode,
    },
    breaker: appBreaker(defaults['breaker']),
    deadLetter: chooseDeadLetter(
      builtInPolicies.deadLetter,
      textOf(defaults['deadLetter']),
      onFailures.find(name => name === defaults['onFailure']),
      oversizes.find(name => name === defaults['deadLetterOversize']),
    ),
  }
}

/** What a file's `defaults`, a route or an action says, over what it inherits; key by key. */
export function mergePolicies(inherited: Policies, section: SourceSection): Policies {
  const retry = section.section('retry')
  const base = inherited.retry
  const deadLetter = section.text('deadLetter')
  const isLegal = deadLetter === undefined || deadLetter === 'none' || isTopic(section, deadLetter)
  return {
    timeoutMs: section.duration('timeout') ?? inherited.timeoutMs,
    retry: {
      attempts: retry.count('attempts') ?? base.attempts,
      backoff: retry.oneOf('backoff', backoffs) ?? base.backoff,
      delayMs: retry.duration('delay') ?? base.delayMs,
      maxDelayMs: retry.duration('maxDelay') ?? base.maxDelayMs,
      jitter: retry.oneOf('jitter', jitters) ?? base.jitter,
      mode: retry.oneOf('mode', modes) ?? base.mode,
    },
    breaker: mergeBreaker(inherited.breaker, section),
    deadLetter: chooseDeadLetter(
      inherited.deadLetter,
      isLegal ? deadLetter : undefined,
      section.oneOf('onFailure', onFailures),
      section.oneOf('deadLetterOversize', oversizes),
    ),
  }
}

/** Undefined where dead letters are off and nobody said what happens to a failure instead. */
export function deadLetterPolicy({ topic, isOff, onFailure, oversize }: DeadLetterChoice): DeadLetterPolicy | undefined {
  if (!isOff) return oversize === 'reference' ? { kind: 'topic', topic, oversize } : { kind: 'topic', topic }
  return onFailure === undefined ? undefined : { kind: 'none', onFailure }
}

/** The topic that a level's `deadLetter` names, if it names one. */
export function namedDeadLetterTopic(section: SourceSection): string | undefined {
  const topic = section.value('deadLetter')
  return typeof topic === 'string' && topic !== 'none' ? topic : undefined
}

const backoffs = ['fixed', 'linear', 'exponential'] as const
const jitters = ['full', 'none'] as const
const modes = ['in-order', 'topics'] as const
const onFailures = ['skip', 'stop'] as const
const oversizes = ['stop', 'reference'] as const

function appBreaker(written: unknown): Policies['breaker'] {
  const base = builtInPolicies.breaker
  if (!isMap(written)) return { ...base, isOff: written === 'off' }
  const { failures } = written
  return {
    failures: typeof failures === 'number' ? failures : base.failures,
    resetMs: durationOf(written['reset']) ?? base.resetMs,
    isOff: false,
  }
}

/** `off`, or its numbers, which switch it on again. */
function mergeBreaker(inherited: Policies['breaker'], section: SourceSection): Policies['breaker'] {
  if (!section.isReadable('breaker')) return inherited
  if (!isMap(section.value('breaker'))) return { ...inherited, isOff: section.oneOf('breaker', ['off']) === 'off' }
  const breaker = section.section('breaker')
  return {
    failures: breaker.count('failures') ?? inherited.failures,
    resetMs: breaker.duration('reset') ?? inherited.resetMs,
    isOff: false,
  }
}

function chooseDeadLetter(
  inherited: DeadLetterChoice,
  written: string | undefined,
  onFailure: DeadLetterChoice['onFailure'],
  oversize: DeadLetterChoice['oversize'],
): DeadLetterChoice {
  const choice =
    written === undefined
      ? { topic: inherited.topic, isOff: inherited.isOff }
      : written === 'none'
        ? { topic: undefined, isOff: true }
        : { topic: written, isOff: false }
  return { ...choice, onFailure: onFailure ?? inherited.onFailure, oversize: oversize ?? inherited.oversize }
}

function isTopic(section: SourceSection, topic: string): boolean {
  const fault = topicNameFault(topic)
  if (fault !== undefined)
    section.report.at(section.pathOf('deadLetter'), 'topic-name', fault, 'Name a topic such as orders.dlq, or write none')
  return fault === undefined
}

function durationOf(value: unknown): number | undefined {
  return typeof value === 'string' ? parseDuration(value) : undefined
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
