import type { Append, Appended, History, HistoryStats, Position, Replay } from '../history/history.ts'
import { HistoryUnavailable } from '../history/history.ts'
import type { AppHistory } from './app-history.ts'

/** The history in Redis, one for all instances: what is appended is published in the same step, and delivered everywhere on receipt. */
export class RedisHistory implements History {
  readonly #apps: ReadonlyMap<string, AppHistory>
  readonly #follow: () => void

  /** `follow` has the channels that have got a history followed. */
  constructor(apps: ReadonlyMap<string, AppHistory>, follow: () => void) {
    this.#apps = apps
    this.#follow = follow
  }

  async append(entry: Append): Promise<Appended> {
    return await this.#of(entry.app).append(entry)
  }

  async since(app: string, channel: string, position: Position): Promise<Replay> {
    return await this.#of(app).since(channel, position)
  }

  position(app: string, channel: string): Position | Promise<Position> {
    return this.#of(app).follower.position(channel)
  }

  retain(isKept: (app: string, channel: string) => boolean): void {
    for (const [id, app] of this.#apps) app.retain(channel => isKept(id, channel))
    this.#follow()
  }

  /** Redis keeps them. */
  stats(): HistoryStats {
    return { channels: 0, bytes: 0, evicted: 0 }
  }

  async close(): Promise<void> {
    for (const { follower } of this.#apps.values()) follower.close()
  }

  #of(app: string): AppHistory {
    const found = this.#apps.get(app)
    if (found === undefined) throw new HistoryUnavailable(`There is no app ${JSON.stringify(app)}`)
    return found
  }
}
