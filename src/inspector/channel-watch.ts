/** A channel that somebody listens to. */
export interface OccupiedChannel {
  readonly name: string
  readonly subscribers: number
}

export interface ChannelWatchOptions {
  read(most: number): readonly OccupiedChannel[]
  /** Somebody looks: otherwise nothing is read. */
  isWatched(): boolean
  onChange(channels: readonly OccupiedChannel[]): void
}

/** More than a person can look at. */
const mostChannels = 500
const everyMs = 1_000

/** Tells who listens to what, once a second where it has changed. */
export class ChannelWatch {
  readonly #options: ChannelWatchOptions
  readonly #timer: NodeJS.Timeout
  #told = '[]'

  constructor(options: ChannelWatchOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#look(), everyMs).unref()
  }

  now(): readonly OccupiedChannel[] {
    return this.#options.read(mostChannels)
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    if (!this.#options.isWatched()) return
    const channels = this.now()
    const text = JSON.stringify(channels)
    if (text === this.#told) return
    this.#told = text
    this.#options.onChange(channels)
  }
}
