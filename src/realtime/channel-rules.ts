import { byPrecedence, matchesChannel, parseChannelPattern } from '../config/channel-pattern.ts'
import type { ChannelRule, HistoryRule } from '../config/router-config.ts'

/** The key of the rule that says who may sign in, not who may subscribe. */
const signInPattern = '#server-to-user-*'

/** `channels:` of router.yaml, ready to be asked. */
export class ChannelRules {
  /** The rule whose module says who may sign in. */
  readonly signIn: ChannelRule | undefined
  /** True where some module decides, so that the authorisation endpoints have something to answer. */
  readonly hasModules: boolean
  /** True where some channels keep their events. */
  readonly hasHistory: boolean
  /** Two sets of rules for which this is the same keep the events of the same channels. */
  readonly historyPatterns: string
  readonly #rules: readonly { readonly matches: (channel: string) => boolean; readonly rule: ChannelRule }[]

  constructor(rules: readonly ChannelRule[]) {
    this.signIn = rules.find(({ pattern }) => pattern === signInPattern)
    this.hasModules = rules.some(({ authorize }) => authorize !== undefined)
    this.hasHistory = rules.some(({ history }) => history !== undefined)
    this.historyPatterns = JSON.stringify(rules.map(({ pattern, history }) => [pattern, history !== undefined]))
    this.#rules = rules
      .map(rule => ({ rule, pattern: parseChannelPattern(rule.pattern) }))
      .sort((a, b) => byPrecedence(a.pattern, b.pattern))
      .map(({ rule, pattern }) => ({ rule, matches: channel => matchesChannel(pattern, channel) }))
  }

  of(channel: string): ChannelRule | undefined {
    for (const { rule, matches } of this.#rules) if (matches(channel)) return rule
    return undefined
  }

  /** What a user's own channel brings is not kept: it is subscribed to by signing in. */
  historyOf(channel: string): HistoryRule | undefined {
    return this.hasHistory && !channel.startsWith('#') ? this.of(channel)?.history : undefined
  }
}
