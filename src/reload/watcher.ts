import { basename } from 'node:path'
import { type FSWatcher, watch } from 'chokidar'

export interface WatcherOptions {
  /** Folders watched with everything below them. */
  readonly trees: readonly string[]
  /** Folders of which only the entries themselves are watched. */
  readonly folders: readonly string[]
  /** Quiet time after the last event before `onChange`, in ms. */
  readonly quietMs: number
  /** Longest wait while events keep coming, in ms. */
  readonly maxWaitMs: number
  /** Something may have changed. Events are hints: the receiver reads everything again and compares. */
  readonly onChange: () => void
  readonly onError: (error: unknown) => void
}

/**
 * Watches folders rather than files, and never names that start with a dot: editors that write a new file and rename it, and
 * Kubernetes' swap of the `..data` link of a ConfigMap, then both show as a change.
 */
export class Watcher {
  readonly #options: WatcherOptions
  readonly #trees: FSWatcher
  readonly #folders: FSWatcher
  #quiet: NodeJS.Timeout | undefined
  #latest: NodeJS.Timeout | undefined

  constructor(options: WatcherOptions) {
    this.#options = options
    const common = { ignored: isIgnored, ignoreInitial: true, persistent: true }
    this.#trees = watch([...options.trees], common)
    this.#folders = watch([...options.folders], { ...common, depth: 0 })
    for (const watcher of [this.#trees, this.#folders]) {
      watcher.on('all', () => this.#hint())
      watcher.on('error', options.onError)
    }
  }

  /** Resolves once edits from now on are seen. */
  async ready(): Promise<void> {
    await Promise.all([this.#trees, this.#folders].map(watcher => new Promise<void>(resolve => watcher.once('ready', resolve))))
  }

  /** Watches further folders, such as those of new handlers. Those watched already are left alone. */
  addTrees(trees: readonly string[]): void {
    this.#trees.add([...trees])
  }

  async close(): Promise<void> {
    clearTimeout(this.#quiet)
    clearTimeout(this.#latest)
    await Promise.all([this.#trees.close(), this.#folders.close()])
  }

  #hint(): void {
    clearTimeout(this.#quiet)
    this.#quiet = setTimeout(() => this.#fire(), this.#options.quietMs)
    this.#latest ??= setTimeout(() => this.#fire(), this.#options.maxWaitMs)
  }

  #fire(): void {
    clearTimeout(this.#quiet)
    clearTimeout(this.#latest)
    this.#latest = undefined
    this.#options.onChange()
  }
}

function isIgnored(path: string): boolean {
  const name = basename(path)
  return (name.startsWith('.') && name !== '.') || name === 'node_modules'
}
