import { open } from 'node:fs/promises'

/** One handling of one message, as the handler wrote it down. */
export interface Handling {
  readonly id: string
  readonly key: string
  readonly partition: number
  readonly offset: number
  /** `start` and `end` of one attempt. */
  readonly phase: 'start' | 'end'
  readonly attempt: number
  readonly pid: number
  /** Epoch milliseconds. */
  readonly at: number
  readonly note: string
}

/**
 * A handler module that writes down what it does, each line synced to the disk before it goes on. `work` is its body: it has `event` and `ctx`, may
 * await and throw, and what it returns is noted.
 */
export function loggingHandler(work = ''): string {
  return `import { open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
const file = open(process.env['LEDGER'] ?? '', 'as')
async function note(phase, event, ctx, text) {
  const { id, key, partition, offset } = event
  const line = JSON.stringify({ id, key, partition, offset, phase, attempt: ctx.attempt, pid: process.pid, at: Date.now(), note: String(text ?? '') })
  await (await file).appendFile(line + '\\n')
}
async function work(event, ctx) {
${work}
}
export default async (event, ctx) => {
  if (process.env['LEDGER_STARTS'] !== undefined) await note('start', event, ctx, '')
  await note('end', event, ctx, await work(event, ctx))
}
`
}

/** Reads what handlers of any number of routers have written. */
export class HandlerLog {
  readonly file: string
  readonly handlings: Handling[] = []
  /** Messages that were handled at least once. */
  readonly handled = new Set<string>()
  #reading: Promise<unknown> = Promise.resolve()
  #position = 0
  #rest = ''

  constructor(file: string) {
    this.file = file
  }

  /** Reads on to the end of the file; answers with itself. */
  read(): Promise<this> {
    const reading = this.#reading.then(() => this.#readOn())
    this.#reading = reading.catch(() => {})
    return reading
  }

  async #readOn(): Promise<this> {
    const file = await open(this.file, 'a+')
    try {
      const { size } = await file.stat()
      const bytes = Buffer.alloc(size - this.#position)
      const { bytesRead } = await file.read(bytes, 0, bytes.length, this.#position)
      this.#position += bytesRead
      const lines = (this.#rest + bytes.toString('utf8', 0, bytesRead)).split('\n')
      this.#rest = lines.pop() ?? ''
      for (const line of lines) {
        const handling: Handling = JSON.parse(line)
        this.handlings.push(handling)
        if (handling.phase === 'end') this.handled.add(handling.id)
      }
    } finally {
      await file.close()
    }
    return this
  }
}
