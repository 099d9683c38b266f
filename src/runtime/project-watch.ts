import { existsSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import type { Project } from '../config/load-project.ts'
import { Watcher } from '../reload/watcher.ts'

export interface ProjectWatchOptions {
  readonly root: string
  readonly onChange: () => void
  readonly onError: (error: unknown) => void
}

/** Follows every file that a project's configuration was made of: routes, schemas, router.yaml, handlers and what they import. */
export class ProjectWatch {
  readonly #root: string
  readonly #watcher: Watcher
  readonly #trees = new Set<string>()

  constructor({ root, onChange, onError }: ProjectWatchOptions) {
    this.#root = root
    const routes = join(root, 'routes')
    this.#trees.add(routes)
    this.#watcher = new Watcher({ trees: [routes], folders: [root], quietMs: 60, goneMs: 300, maxWaitMs: 500, onChange, onError })
  }

  ready(): Promise<void> {
    return this.#watcher.ready()
  }

  /** Watches the folders of files that came to the project since; `handlerFiles` are absolute. */
  follow(project: Project, handlerFiles: readonly string[]): void {
    this.followFiles([...project.sources.keys(), ...project.eventSchemas.keys(), ...handlerFiles])
  }

  /** The same for files by their paths: absolute, or relative to the root. */
  followFiles(files: readonly string[]): void {
    const folders = files.map(file => dirname(resolve(this.#root, file))).filter(folder => folder !== this.#root && this.#isInside(folder))
    const added = [...new Set(folders)].filter(folder => !this.#isWatched(folder) && existsSync(folder))
    for (const folder of added) this.#trees.add(folder)
    if (added.length > 0) this.#watcher.addTrees(added)
  }

  close(): Promise<void> {
    return this.#watcher.close()
  }

  #isInside(folder: string): boolean {
    return !relative(this.#root, folder).startsWith('..')
  }

  #isWatched(folder: string): boolean {
    return [...this.#trees].some(tree => folder === tree || folder.startsWith(tree + sep))
  }
}
