import type { NamePlace } from './plan.ts'

/** Which characters may stand somewhere: a table for ASCII, one rule for the rest. */
interface Characters {
  /** 1 where the code is allowed. */
  readonly ascii: Uint8Array
  /** The first code beyond ASCII that is allowed. */
  readonly beyondFrom: number
}

/** What one place allows in a name. */
export interface NameRules {
  /** With its article, for messages. */
  readonly noun: string
  /** Of the text written in the file. */
  readonly fixed: Characters
  /** Of each value a template inserts. */
  readonly inserted: Characters
  /** For hints. */
  readonly allowed: string
  /** What an inserted value becomes; throws for one that it cannot take. */
  readonly encode?: (text: string) => string
  /** Characters of the whole name. */
  readonly maxLength: number
}

/** 0x80 to 0x9f are control characters. */
const printable = characters(code => code >= 0x20 && code !== 0x7f, 0xa0)
const asciiOnly = Number.POSITIVE_INFINITY

export const nameRules: Readonly<Record<NamePlace, NameRules>> = {
  // Pusher Channels protocol: [A-Za-z0-9_\-=@,.;], at most 200. A value may not bring `,` or `;`, which lists and options are made of.
  channel: {
    noun: 'a channel name',
    fixed: characters(code => isWordCode(code) || '-=@,.;'.includes(String.fromCharCode(code)), asciiOnly),
    inserted: characters(code => isWordCode(code) || '-=@.'.includes(String.fromCharCode(code)), asciiOnly),
    allowed: 'letters, digits and _ - = @ , . ;',
    maxLength: 200,
  },
  // Kafka: [a-zA-Z0-9._-]{1,249}.
  topic: {
    noun: 'a topic name',
    fixed: characters(code => isWordCode(code) || code === 0x2d || code === 0x2e, asciiOnly),
    inserted: characters(code => isWordCode(code) || code === 0x2d || code === 0x2e, asciiOnly),
    allowed: 'letters, digits and . _ -',
    maxLength: 249,
  },
  event: { noun: 'an event name', fixed: printable, inserted: printable, allowed: 'printable characters', maxLength: 200 },
  id: { noun: 'an id', fixed: printable, inserted: printable, allowed: 'printable characters', maxLength: 500 },
  idempotency: {
    noun: 'an idempotency key',
    fixed: printable,
    inserted: printable,
    allowed: 'printable characters',
    maxLength: 500,
  },
  key: anything('a key', 'any characters'),
  url: {
    ...anything('an address', 'anything but spaces and control characters'),
    fixed: characters(code => code > 0x20 && code !== 0x7f, 0xa1),
    encode: encodeURIComponent,
    maxLength: 8_000,
  },
  // RFC 9110: visible ASCII and spaces; other bytes are read differently everywhere.
  httpHeader: {
    noun: 'an HTTP header',
    fixed: characters(code => code >= 0x20 && code !== 0x7f, asciiOnly),
    inserted: characters(code => code >= 0x20 && code !== 0x7f, asciiOnly),
    allowed: 'printable ASCII characters',
    maxLength: 8_000,
  },
  header: {
    ...anything('a header', 'anything but line breaks and NUL'),
    fixed: characters(code => code !== 0 && code !== 0x0a && code !== 0x0d, 0x80),
    inserted: characters(code => code !== 0 && code !== 0x0a && code !== 0x0d, 0x80),
  },
}

/** Index of the first character that may not stand there, else -1. */
export function firstIllegal(text: string, allowed: Characters): number {
  const { ascii, beyondFrom } = allowed
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code < 128 ? ascii[code] === 0 : code < beyondFrom) return index
  }
  return -1
}

/** What is wrong with a whole topic name beyond its characters; undefined where it is fine. */
export function topicNameFault(topic: string): string | undefined {
  if (topic === '') return 'A topic name may not be empty'
  if (topic === '.' || topic === '..') return `\`${topic}\` is not a topic name`
  const { fixed, maxLength } = nameRules.topic
  if (topic.length > maxLength) return `A topic name has at most ${maxLength} characters, this one has ${topic.length}`
  const illegal = firstIllegal(topic, fixed)
  return illegal === -1 ? undefined : `A topic name does not allow ${showCharacter(topic, illegal)}`
}

/** The character at `index` for a message: quoted, or by its number where it cannot be seen. */
export function showCharacter(text: string, index: number): string {
  const code = text.codePointAt(index) ?? 0
  return code < 0x21 || (code >= 0x7f && code < 0xa1) || (code >= 0xd800 && code < 0xe000)
    ? code === 0x20
      ? 'a space'
      : `U+${code.toString(16).toUpperCase().padStart(4, '0')}`
    : `'${String.fromCodePoint(code)}'`
}

function anything(noun: string, allowed: string): NameRules {
  const all = characters(() => true, 0x80)
  return { noun, fixed: all, inserted: all, allowed, maxLength: Number.POSITIVE_INFINITY }
}

function characters(isAllowed: (code: number) => boolean, beyondFrom: number): Characters {
  return { ascii: Uint8Array.from({ length: 128 }, (_, code) => (isAllowed(code) ? 1 : 0)), beyondFrom }
}

/** ASCII letters, digits and `_`. */
function isWordCode(code: number): boolean {
  return /^\w$/.test(String.fromCharCode(code))
}
