import type { HttpConfig } from '../config/router-config.ts'
import type { ValuePath } from '../config/source-document.ts'
import type { ProblemCode } from '../diagnostics/problem.ts'
import type { CompiledAction, NamePlace } from './plan.ts'
import type { Template } from './scope.ts'
import type { SourceSection } from './source-section.ts'

/**
 * One kind of action: the key in the YAML and how its value becomes something that runs. Adding an action is one file that
 * exports one of these (built on the ports it needs), one line in `actions/registry.ts`, and its definition in
 * `schemas/routes.schema.json`.
 */
export interface ActionType {
  readonly key: string
  /** Compiles the value under the action's key. Returns undefined after it has reported a problem. */
  compile(source: ActionSource): CompiledAction | undefined
}

/** The value under an action's key, with everything needed to compile templates in it and to report problems at the right place. */
export interface ActionSource {
  /** Of the value under the action's key. */
  readonly path: ValuePath
  readonly value: unknown
  /** The value's keys where it is a map (the long form); without keys where it is not. */
  readonly section: SourceSection
  /** The whole action map: `with` stands beside the action's key. */
  readonly siblings: SourceSection
  /** The subscription's broker. */
  readonly broker: string
  /** `fanout`: every instance runs the action, each for its own sockets. */
  readonly role: 'work' | 'fanout'
  /** Names of the apps in router.yaml's `server.apps`. */
  readonly apps: readonly string[]
  /** Names of the brokers in router.yaml. */
  readonly brokers: readonly string[]
  /** What router.yaml lets `http` actions reach. */
  readonly http: HttpConfig
  /** The text without what came from the environment: for everything that people see. */
  hide(text: string): string
  report(path: ValuePath, code: ProblemCode, message: string, hint?: string): void
  /** A name: every inserted value must be a non-empty scalar of characters the place allows. Undefined after reporting. */
  name(path: ValuePath, text: string, place: NamePlace): NameSource | undefined
  /** Structured data with templated leaves. Undefined after reporting. */
  data(path: ValuePath, value: unknown): DataSource | undefined
  /** Resolves a path written in the file to one relative to the project's root. Undefined after reporting (outside the root). */
  projectPath(path: ValuePath, written: string): string | undefined
  /** True where the file exists; `relative` is relative to the project's root. */
  fileExists(relative: string): boolean
}

export interface NameSource {
  readonly text: string
  readonly render: Template<string>
  /** Set where the name has no template: it is then the same for every message. */
  readonly constant: string | undefined
  /** For a lone `{{path}}`: reads its raw value, so that `emit.key` can tell a missing key. */
  readonly lonePath: Template<unknown> | undefined
}

export interface DataSource {
  readonly render: Template<unknown>
  /** True where rendering can throw for some message: such data is rendered even when nobody listens. */
  readonly canFail: boolean
  readonly constant: boolean
}
