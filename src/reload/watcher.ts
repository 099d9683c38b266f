import { basename } from 'node:path'
import { type FSWatcher, watch } from 'chokidar'

export interface WatcherOptions {
  /** Folders watched with everything below them. */
  readonly trees: readonly string[]
  /** Folders of which only the entries themselves are watched. */
  readonly folders: readonly string[]
  /** Quiet time after the last event before `onChange`, in ms. */
  readonly quietMs: number
  /** The same after something went away: the file that takes its place may follow. */
  readonly goneMs: number
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
  readonly #roots: Set<string>
  #trees: FSWatcher
  readonly #folders: FSWatcher
  #isClosed = false
  #quiet: NodeJS.Timeout | undefined
  #latest: NodeJS.Timeout | undefined

  constructor(options: WatcherOptions) {
    this.#options = options
    this.#roots = new Set(options.trees)
    this.#trees = this.#watch(options.trees)
    this.#folders = this.#watch(options.folders, 0)
    this.#folders.on('addDir', path => {
      if (this.#roots.has(path)) this.#watchTreesAgain()
    })
  }

  /** Resolves once edits from now on are seen. */
  async ready(): Promise<void> {
    await Promise.all([this.#trees, this.#folders].map(watcher => new Promise<void>(resolve => watcher.once('ready', resolve))))
  }

  /** Watches further folders, such as those of new handlers. Those watched already are left alone. */
  addTrees(trees: readonly string[]): void {
    for (const tree of trees) this.#roots.add(tree)
    this.#trees.add([...trees])
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#quiet)
    clearTimeout(this.#latest)
    await Promise.all([this.#trees.close(), this.#folders.close()])
  }

  #watch(paths: readonly string[], depth?: number): FSWatcher {
    const options = { ignored: isIgnored, ignoreInitial: true, persistent: true, ...(depth === undefined ? {} : { depth }) }
    const watcher = watch([...paths], options)
    watcher.on('all', event => this.#hint(event.startsWith('unlink')))
    watcher.on('error', this.#options.onError)
    return watcher
  }

  /** A folder that was taken away and put back is another one to the file system, and the watch on the first has ended with it. */
  #watchTreesAgain(): void {
    const before = this.#trees
    this.#trees = this.#watch([...this.#roots])
    this.#trees.once('ready', () => this.#hint(false))
    before.close().catch(this.#options.onError)
  }

  #hint(isGone: boolean): void {
    if (this.#isClosed) return
    const { quietMs, goneMs } = this.#options
    clearTimeout(this.#quiet)
    this.#quiet = setTimeout(() => this.#fire(), isGone ? goneMs : quietMs)
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
