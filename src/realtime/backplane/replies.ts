/** What scripts answer, checked: somebody else may have written what they read. */
export interface BeatReply {
  readonly isAlive: boolean
  readonly epoch: string
  readonly instances: number
  readonly dead: readonly string[]
  /** `channel \n user` of what has ended for good. */
  readonly over: readonly string[]
}

export function readBeat(reply: unknown): BeatReply | undefined {
  if (!Array.isArray(reply)) return undefined
  const [alive, epoch, instances, dead, over]: readonly unknown[] = reply
  if (typeof epoch !== 'string' || typeof instances !== 'number') return undefined
  return { isAlive: alive === 1, epoch, instances, dead: texts(dead), over: texts(over) }
}

export type ReportNews =
  | { readonly kind: 'occupied'; readonly channel: string }
  | { readonly kind: 'added'; readonly channel: string; readonly userId: string }
  | { readonly kind: 'counted'; readonly channel: string; readonly subscriptions: number }

/** `gone` where the others have given this instance up. */
export function readReport(reply: unknown): readonly ReportNews[] | 'gone' {
  if (!Array.isArray(reply)) return 'gone'
  return reply.map(readNews).filter(news => news !== undefined)
}

function readNews(entry: unknown): ReportNews | undefined {
  if (!Array.isArray(entry)) return undefined
  const [kind, channel, detail]: readonly unknown[] = entry
  if (typeof channel !== 'string') return undefined
  if (kind === 'occupied') return { kind, channel }
  if (kind === 'counted' && typeof detail === 'number') return { kind, channel, subscriptions: detail }
  const userId = kind === 'added' ? jsonText(detail) : undefined
  return userId === undefined ? undefined : { kind: 'added', channel, userId }
}

/** A JSON string that a user's id was written as. */
export function jsonText(written: unknown): string | undefined {
  if (typeof written !== 'string') return undefined
  try {
    const value: unknown = JSON.parse(written)
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter(entry => typeof entry === 'string') : []
}
