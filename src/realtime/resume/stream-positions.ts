import type { Position } from '../history/history.ts'
import type { Resumable } from './resumable.ts'
import type { PositionSink } from './tracker.ts'

/** Most channels with history in one stream: all their positions stand in the header of a request. */
export const mostPlaces = 32
/** The first id of a stream, which says nothing but that the client was here. */
export const noPlaces = '-'

/** The ids of a stream of server-sent events: where it stands in all of its channels with history, `channel:epoch:serial` for each. */
export class StreamPositions implements PositionSink {
  readonly #places: Map<string, Position>
  readonly #writeId: (id: string) => void

  /** `stopped` is where the client stopped: that stands until it has got what came after. */
  constructor(stopped: ReadonlyMap<string, Position>, writeId: (id: string) => void) {
    this.#places = new Map(stopped)
    this.#writeId = writeId
  }

  note({ channel }: Resumable, at: Position): string {
    this.#places.set(channel.name, at)
    return this.#id()
  }

  stands(subscription: Resumable, at: Position): void {
    this.#writeId(this.note(subscription, at))
  }

  #id(): string {
    let id = ''
    // No name of a channel that can be subscribed to over a stream holds a space or a colon.
    for (const [name, { epoch, serial }] of this.#places) id += `${id === '' ? '' : ' '}${name}:${epoch}:${serial}`
    return id
  }
}

/** What such an id says of these channels; the id comes from a stranger. */
export function readPlaces(id: string, channels: ReadonlySet<string>): ReadonlyMap<string, Position> {
  const places = new Map<string, Position>()
  for (const place of id.split(' ')) {
    const [, name, epoch, serial] = /^([^ :]+):([A-Za-z0-9_-]{1,64}):(\d{1,15})$/.exec(place) ?? []
    if (name !== undefined && epoch !== undefined && channels.has(name)) places.set(name, { epoch, serial: Number(serial) })
  }
  return places
}
