import { createHash } from 'node:crypto'
import { readFileSync, realpathSync } from 'node:fs'
import { join, sep } from 'node:path'
import { type BatchHandler, defineBatchHandler, defineHandler, drop, type Handler, PermanentError } from '../actions/handler.ts'
import { type AuthorizeRequest, defineAuthorize } from '../realtime/authorize.ts'
import {
  type HandlerFault,
  type Hook,
  type Lifecycle,
  type LifecycleLimits,
  lifecycleLimits,
  setUp,
  tearDown,
} from './handler-lifecycle.ts'
import { moduleLoader } from './load-modules.ts'
import { withinLimit } from './time-limit.ts'

/** What handler modules get for `import ... from 'signalbox'`: always this router's own, wherever the project lives. */
const library = { defineAuthorize, defineBatchHandler, defineHandler, drop, PermanentError }

/** A module that a route names: its path relative to the project's root, and the export that is called. */
export interface HandlerReference {
  readonly module: string
  readonly exportName: string
}

/** What a module exports; what it is called with depends on who names it. */
type Callable = (...given: readonly unknown[]) => unknown

type HandlersByModule = ReadonlyMap<string, ReadonlyMap<string, Callable>>

/** Why modules cannot be used. What a `setup()` did is not mended by reading a file once more. */
export interface HandlerFaults {
  readonly stage: 'load' | 'setup'
  readonly faults: readonly HandlerFault[]
}

export interface LoadOptions {
  readonly limits?: LifecycleLimits
  /** Gives the load up; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

/**
 * The handler modules of one generation, loaded together so that they share their own dependencies. Loading again after an edit gives new
 * code for every file of the project, while packages in node_modules stay loaded.
 */
export class HandlerModules {
  /** By module, then by export. */
  readonly #handlers: HandlersByModule
  readonly #teardowns: readonly Hook[]
  readonly #limits: LifecycleLimits
  /** Absolute paths of every project file that was read: the modules and what they import. */
  readonly files: readonly string[]
  readonly fingerprint: string
  #running = 0
  #whenIdle: (() => void) | undefined
  #retired: Promise<readonly unknown[]> | undefined

  private constructor(
    handlers: HandlersByModule,
    teardowns: readonly Hook[],
    limits: LifecycleLimits,
    files: readonly string[],
    fingerprint: string,
  ) {
    this.#teardowns = teardowns
    this.#limits = limits
    this.#handlers = teardowns.length === 0 ? handlers : mapHandlers(handlers, handler => this.#counted(handler))
    this.files = files
    this.fingerprint = fingerprint
  }

  static readonly none = new HandlerModules(new Map(), [], lifecycleLimits, [], fingerprintOf([], []))

  /** Loads every module and awaits its `setup()`. What was set up is torn down again when a later one fails, or `signal` aborts. */
  static async load(
    root: string,
    references: readonly HandlerReference[],
    { limits = lifecycleLimits, signal }: LoadOptions = {},
  ): Promise<HandlerModules | HandlerFaults> {
    if (references.length === 0) return HandlerModules.none
    const realRoot = realpathSync(root)
    const jiti = moduleLoader(join(realRoot, 'router.yaml'), {
      moduleCache: true,
      interopDefault: false,
      virtualModules: { signalbox: library },
    })
    for (const file of Object.keys(jiti.cache)) if (isProjectFile(realRoot, file)) delete jiti.cache[file]
    const handlers = new Map<string, Map<string, Callable>>()
    const lifecycles = new Map<string, Lifecycle>()
    const faults: HandlerFault[] = []
    for (const { module, exportName } of references) {
      try {
        const exports: unknown = jiti(join(realRoot, module))
        const handler = exportOf(exports, exportName)
        if (typeof handler !== 'function') {
          faults.push({
            module,
            message: `${exportName === 'default' ? 'the default export' : `the export ${exportName}`} is ${handler === undefined ? 'missing' : 'not a function'}`,
          })
          continue
        }
        const ofModule = handlers.get(module) ?? new Map<string, Callable>()
        handlers.set(
          module,
          ofModule.set(exportName, (...given) => handler(...given)),
        )
        lifecycles.set(module, { module, setup: hookOf(exports, 'setup'), teardown: hookOf(exports, 'teardown') })
      } catch (error) {
        faults.push({ module, message: loadFailure(error, realRoot) })
      }
    }
    const files = Object.keys(jiti.cache).filter(file => isProjectFile(realRoot, file))
    if (faults.length > 0) return { stage: 'load', faults }
    // Before anything is set up: what is edited meanwhile is not in this code.
    const fingerprint = fingerprintOf(files, references)
    const teardowns = await setUp(lifecycles.values(), limits, signal)
    if ('message' in teardowns) return { stage: 'setup', faults: [teardowns] }
    return new HandlerModules(handlers, teardowns, limits, files, fingerprint)
  }

  /** True where loading these references again would give the same code. */
  isCurrentFor(references: readonly HandlerReference[]): boolean {
    return this.fingerprint === fingerprintOf(this.files, references)
  }

  get(module: string, exportName: string): Handler | undefined {
    return this.#handlers.get(module)?.get(exportName)
  }

  getBatch(module: string, exportName: string): BatchHandler | undefined {
    return this.#handlers.get(module)?.get(exportName)
  }

  getAuthorize(module: string, exportName: string): ((request: AuthorizeRequest) => unknown) | undefined {
    return this.#handlers.get(module)?.get(exportName)
  }

  /** Awaits calls under way for half of the time, then the modules' `teardown()`, once. Failures are returned, not thrown. */
  retire(withinMs = 2 * this.#limits.teardownMs): Promise<readonly unknown[]> {
    this.#retired ??= this.#retireNow(withinMs)
    return this.#retired
  }

  async #retireNow(withinMs: number): Promise<readonly unknown[]> {
    if (this.#teardowns.length === 0) return []
    if (this.#running > 0)
      await withinLimit(
        new Promise<void>(resolve => {
          this.#whenIdle = resolve
        }),
        withinMs / 2,
      )
    return await tearDown(this.#teardowns, withinMs / 2)
  }

  /** Counts calls under way, so that `teardown()` does not pull a connection from under them. */
  #counted(handler: Callable): Callable {
    return (...given) => {
      this.#running++
      let result: unknown
      try {
        result = handler(...given)
      } catch (error) {
        this.#ended()
        throw error
      }
      if (!isPromiseLike(result)) {
        this.#ended()
        return result
      }
      return Promise.resolve(result).finally(() => this.#ended())
    }
  }

  #ended(): void {
    this.#running--
    if (this.#running === 0) this.#whenIdle?.()
  }
}

function mapHandlers(handlers: HandlersByModule, change: (handler: Callable) => Callable): HandlersByModule {
  const changed = (exports: ReadonlyMap<string, Callable>) =>
    new Map([...exports].map(([name, handler]) => [name, change(handler)] as const))
  return new Map([...handlers].map(([module, exports]) => [module, changed(exports)]))
}

function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

function isProjectFile(root: string, file: string): boolean {
  return file.startsWith(root + sep) && !file.includes(`${sep}node_modules${sep}`)
}

function exportOf(exports: unknown, name: string): unknown {
  if (typeof exports === 'function' && name === 'default') return exports
  if (typeof exports !== 'object' || exports === null) return undefined
  return Object.hasOwn(exports, name) ? Reflect.get(exports, name) : undefined
}

function hookOf(exports: unknown, name: string): Hook | undefined {
  const value = exportOf(exports, name)
  return typeof value === 'function' ? () => value() : undefined
}

/** The loader's message without its stack and without the machine's paths. */
function loadFailure(error: unknown, root: string): string {
  const message = error instanceof Error ? error.message : String(error)
  return message
    .replaceAll(root + sep, '')
    .replace(/\s*\n\s*/g, ' ')
    .trim()
}

/** Changes when any of the files changes, disappears, or when other handlers are asked for. */
function fingerprintOf(files: readonly string[], references: readonly HandlerReference[]): string {
  const hash = createHash('sha256')
  for (const { module, exportName } of references) hash.update(`${module}#${exportName}\n`)
  for (const file of files) {
    hash.update(`${file}\n`)
    try {
      hash.update(readFileSync(file))
    } catch {
      hash.update('gone')
    }
  }
  return hash.digest('hex')
}
