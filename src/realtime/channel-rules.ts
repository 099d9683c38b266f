import { byPrecedence, matchesChannel, parseChannelPattern } from '../config/channel-pattern.ts'
import type { ChannelRule } from '../config/router-config.ts'

/** The key of the rule that says who may sign in, not who may subscribe. */
const signInPattern = '#server-to-user-*'

/** `channels:` of router.yaml, ready to be asked. */
export class ChannelRules {
  /** The rule whose module says who may sign in. */
  readonly signIn: ChannelRule | undefined
  /** True where some module decides, so that the authorisation endpoints have something to answer. */
  readonly hasModules: boolean
  readonly #rules: readonly { readonly matches: (channel: string) => boolean; readonly rule: ChannelRule }[]

  constructor(rules: readonly ChannelRule[]) {
    this.signIn = rules.find(({ pattern }) => pattern === signInPattern)
    this.hasModules = rules.some(({ authorize }) => authorize !== undefined)
    this.#rules = rules
      .map(rule => ({ rule, pattern: parseChannelPattern(rule.pattern) }))
      .sort((a, b) => byPrecedence(a.pattern, b.pattern))
      .map(({ rule, pattern }) => ({ rule, matches: channel => matchesChannel(pattern, channel) }))
  }

  of(channel: string): ChannelRule | undefined {
    for (const { rule, matches } of this.#rules) if (matches(channel)) return rule
    return undefined
  }
}
