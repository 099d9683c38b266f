import type { HttpConfig } from '../config/router-config.ts'
import type { ActionType } from './action-type.ts'
import type { SchemaCompiler } from './data-schema.ts'

/** What the compiler knows of the project around a route file. */
export interface ProjectContext {
  readonly appName: string
  readonly defaultBroker: string
  readonly brokers: readonly string[]
  readonly apps: readonly string[]
  /** What `http` actions may reach. */
  readonly http: HttpConfig
  /** Takes what came from the environment out of a text that people will see. */
  readonly hide: (text: string) => string
  /** How long a completed idempotency key is remembered where a route does not say, in ms. */
  readonly idempotencyTtlMs: number
  readonly actions: readonly ActionType[]
  readonly schemas: SchemaCompiler
  /** Parsed JSON Schemas by their path relative to the project's root. */
  readonly eventSchemas: ReadonlyMap<string, unknown>
  /** Every topic that some `deadLetter` of the project names. */
  readonly deadLetterTopics: ReadonlySet<string>
  fileExists(relative: string): boolean
}
