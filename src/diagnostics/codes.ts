/**
 * Every problem code with what it stands for. A code is stable: tools filter on it. Never reuse one for something else.
 * `yaml-*`: the file cannot be read as YAML; `schema-*`: its shape is wrong; the others: it has the right shape and cannot work.
 */
const problemCodes = {
  'file-unreadable': 'A file that is needed is missing or cannot be read',
  'file-too-large': 'A configuration file is larger than 1mb, or holds more than 100,000 keys and values',
  'file-encoding': 'A configuration file is not UTF-8 text',
  'file-empty': 'A route file holds nothing',
  'too-many-problems': 'A file has so many problems that only the first are shown',
  'yaml-syntax': 'The file is not valid YAML',
  'yaml-tab': 'A tab is used for indentation',
  'yaml-duplicate-key': 'A key stands twice in one map',
  'yaml-alias': 'An alias has no anchor, or aliases and merge keys expand to too much',
  'yaml-unquoted-template': 'A template stands without quotes, so YAML reads it as a map',
  'yaml-documents': 'A file holds more than one YAML document',
  'schema-unknown-key': 'A key that the language does not know',
  'schema-missing-key': 'A key that must be there is missing',
  'schema-type': 'A value has the wrong type',
  'schema-value': 'A value is not one of those allowed, or is out of its range',
  'schema-unsupported': 'A property of the Java consumer that the Kafka client here cannot do',
  'env-unset': 'An environment variable without a default is not set',
  'env-syntax': 'A ${...} reference is malformed',
  'template-syntax': 'A template cannot be parsed or uses what templates may not use',
  'template-root': 'A template path starts with something that is not a root',
  'template-name': 'The fixed text of a channel, topic, event or key has characters its place does not allow',
  'event-pattern': 'An event pattern is malformed',
  'event-undeclared': 'A route waits for an event that its topics do not have, or emits one that the topic should not get',
  'topic-name': 'A topic name or pattern is malformed',
  'when-condition': 'A condition cannot be evaluated',
  'when-never': 'A condition holds for no message',
  'event-loop': 'Events go round in a circle: a route emits or dead-letters what leads back to it',
  'retry-long': 'The retries of an action can hold up its key for more than an hour',
  'retry-order': 'Retries through topics give up the order of a key',
  'regex-syntax': 'A regular expression is not valid RE2',
  'results-unknown': 'A template reads results of an action that does not run before it',
  'field-undeclared': "A path leads to a field that the JSON Schema of the route's events does not have",
  'field-optional': 'A value that a name or a text needs may be missing or null in a valid event',
  'field-type': 'A value that a name or a text needs is an object or a list in every valid event',
  'broker-unknown': 'A route file names a broker that router.yaml does not define',
  'handler-missing': 'A handler module does not exist or lies outside the project',
  'handler-invalid': 'A handler module cannot be loaded or does not export a function',
  'file-unused': 'A schema or a handler lies beside those that routes use, and no route uses it',
  'json-schema-invalid': 'A JSON Schema that a route names is missing or invalid',
  'when-number': 'A number in a condition that YAML reads differently than it looks',
  'subscription-conflict': 'Two route files give one subscription name',
  'broker-refused': 'A broker cannot be reached, or refuses what a route file needs of it (validate --live)',
  'topic-missing': 'A topic that a route file names does not exist at the broker (validate --live)',
  'broker-missing': 'Several brokers are defined and none is the default',
  'group-conflict': 'Two subscriptions use one consumer group',
  fanout: 'A subscription with `role: fanout` has what only `role: work` can have',
  'idempotency-key': 'An idempotency key cannot tell messages apart',
  'idempotency-store': 'The idempotency store cannot be opened',
  'dead-letter-policy': 'deadLetter: none stands without onFailure',
  'channel-rule': 'A channel rule contradicts itself, or another one',
  'http-address': 'An http action calls an address, or sends a header, that it may not',
  'channel-unreachable': 'A route broadcasts to a channel that nobody could subscribe to',
  'topic-unused': 'router.yaml says which events a topic has, and no route file reads the topic or emits to it',
  'app-unknown': 'A broadcast names an app that router.yaml does not define',
} as const

export type ProblemCode = keyof typeof problemCodes

export const allCodes: readonly ProblemCode[] = Object.keys(problemCodes).filter(isCode)

function isCode(text: string): text is ProblemCode {
  return Object.hasOwn(problemCodes, text)
}

/** Undefined for a text that is no code. */
export function findCode(text: string): ProblemCode | undefined {
  return isCode(text) ? text : undefined
}

/** What a code stands for, in one sentence. */
export function describeCode(code: ProblemCode): string {
  return problemCodes[code]
}
