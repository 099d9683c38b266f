import fc from 'fast-check'
import { expect, it } from 'vitest'
import { isDone, readDoneAhead } from '../../src/engine/done-ahead.ts'
import { type Commit, Harness, type Held, held } from './harness.ts'
import { action, envelope, record, route, steadyRetry, subscription } from './plan-builders.ts'

const partitions = [0, 1]
const rebalanceMs = 1_000

interface Call {
  readonly id: string
  readonly key: string
  readonly offset: number
  /** The assignment that it runs in. */
  readonly assignment: number
  readonly signal: AbortSignal
  readonly end: Held
}

/**
 * A broker that outlives the processes: it keeps what was sent and what was committed, delivers to the process that there is, and watches over
 * what that does.
 */
class Cluster {
  readonly sent: string[][] = partitions.map(() => [])
  readonly committed = partitions.map(() => 0)
  /** What lies beside the committed offsets. */
  readonly #metadata: (string | undefined)[] = partitions.map(() => undefined)
  /** Messages that some call has handled to its end. */
  readonly handled = new Set<string>()
  /** The same, by assignment. */
  readonly #handledBy = new Set<string>()
  readonly calls: Call[] = []
  readonly violations: string[] = []
  commitWorks = true
  commitMs = 0
  #process = 0
  #assignments = 0
  /** The number of the assignment; undefined: nobody has the partition. */
  readonly #assigned: (number | undefined)[] = partitions.map(() => undefined)
  readonly #last = new Map<string, number>()
  #harness: Harness

  constructor() {
    this.#harness = this.#make()
    for (const partition of partitions) this.#assign(partition)
  }

  get clock() {
    return this.#harness.clock
  }

  send(partition: number, key: string): void {
    const keys = this.sent[partition] ?? []
    keys.push(key)
    if (this.#assigned[partition] !== undefined) this.#deliver(partition, keys.length - 1)
  }

  async end(pick: number, works: boolean): Promise<void> {
    const [call] = this.calls.length === 0 ? [] : this.calls.splice(pick % this.calls.length, 1)
    if (call === undefined) return
    const counts = !call.signal.aborted
    if (works) call.end.resolve(null)
    else call.end.reject(new Error('busy'))
    if (works && counts) {
      this.handled.add(call.id)
      this.#handledBy.add(`${call.assignment} ${call.id}`)
    }
    await this.clock.settle()
  }

  async lose(partition: number, awayMs: number): Promise<void> {
    const left = this.#harness.processor.revoked([{ topic: 'orders', partition }], true)
    this.#assigned[partition] = undefined
    await this.clock.advance(awayMs)
    await left
    this.#assign(partition)
    await this.clock.settle()
  }

  /** `ends`: calls that end in the time there is. */
  async revoke(partition: number, ends: readonly number[], awayMs: number): Promise<void> {
    const left = this.#harness.processor.revoked([{ topic: 'orders', partition }], false)
    for (const pick of ends) await this.end(pick, true)
    await this.clock.advance(rebalanceMs + 10_000)
    await left
    this.#expectAllTold(partition)
    this.#assigned[partition] = undefined
    await this.clock.advance(awayMs)
    this.#assign(partition)
    await this.clock.settle()
  }

  async stop(ends: readonly number[]): Promise<void> {
    const drained = this.#harness.processor.drain(rebalanceMs)
    for (const pick of ends) await this.end(pick, true)
    await this.clock.advance(rebalanceMs + 10_000)
    await drained
    for (const partition of partitions) this.#expectAllTold(partition)
    await this.crash()
  }

  /** Everything in flight is gone. */
  async crash(): Promise<void> {
    this.calls.length = 0
    this.#harness = this.#make()
    for (const partition of partitions) this.#assign(partition)
    await this.clock.settle()
  }

  #make(): Harness {
    const process = ++this.#process
    const plan = subscription(
      [
        route('r', [
          action(
            ({ partition, offset, key }, { signal }) => {
              const call = {
                id: `${partition}/${offset}`,
                key: `${partition}/${key}`,
                offset: Number(offset),
                assignment: this.#assigned[Number(partition)] ?? -1,
                signal,
                end: held(),
              }
              this.#watchOrder(call)
              this.#refuse(
                this.#isTold(Number(partition), call.offset),
                `${call.id} runs again, although the broker was told that it is done`,
              )
              this.calls.push(call)
              return call.end.promise
            },
            { timeoutMs: 1e9, retry: { ...steadyRetry, attempts: 1_000, maxDelayMs: 400 } },
          ),
        ]),
      ],
      { concurrency: 3 },
    )
    return new Harness(plan, { partitions: [], rebalanceMs, commit: offsets => this.#commit(process, offsets) })
  }

  #assign(partition: number): void {
    this.#assigned[partition] = ++this.#assignments
    const offset = this.committed[partition] ?? 0
    this.#harness.processor.assigned([{ topic: 'orders', partition, offset, metadata: this.#metadata[partition] }])
    this.#deliver(partition, offset)
  }

  #deliver(partition: number, from: number): void {
    const keys = (this.sent[partition] ?? []).slice(from)
    if (keys.length === 0) return
    const records = keys.map((key, index) => record({ partition, offset: from + index, key, value: envelope('e', index) }))
    this.#harness.deliverRecords(records, partition)
  }

  /** What a process must not do; thrown, it would be one more failure to cope with. */
  #refuse(wrong: boolean, what: string): void {
    if (wrong) this.violations.push(what)
  }

  #isTold(partition: number, offset: number): boolean {
    const committed = this.committed[partition] ?? 0
    return offset < committed || isDone(readDoneAhead(this.#metadata[partition], committed)?.bounds ?? [], offset)
  }

  /** After the last commit of a partition that leaves; what an assignment before a crash did not get told has to run again. */
  #expectAllTold(partition: number): void {
    if (!this.commitWorks) return
    for (const offset of this.sent[partition]?.keys() ?? []) {
      const id = `${partition}/${offset}`
      this.#refuse(this.#handledBy.has(`${this.#assigned[partition]} ${id}`) && !this.#isTold(partition, offset), `${id} is not told of`)
    }
  }

  async #commit(process: number, offsets: readonly Commit[]): Promise<void> {
    this.#refuse(process !== this.#process, 'a process that has crashed commits')
    for (const { partition, offset, metadata } of offsets) {
      const { bounds = [] } = readDoneAhead(metadata, offset) ?? {}
      for (const above of this.sent[partition]?.keys() ?? [])
        this.#refuse(
          isDone(bounds, above) && !this.handled.has(`${partition}/${above}`),
          `${partition}/${above} is told of and not handled`,
        )
      this.#refuse(this.#assigned[partition] === undefined, `${partition} is committed by who has it no more`)
      this.#refuse(offset < (this.committed[partition] ?? 0), `${partition} goes back to ${offset}`)
      for (let below = 0; below < offset; below++)
        this.#refuse(!this.handled.has(`${partition}/${below}`), `${partition}/${below} is committed and not handled`)
    }
    const asked = [...this.#assigned]
    if (this.commitMs > 0) await new Promise<void>(resolve => this.clock.schedule(this.commitMs, resolve))
    const isFenced = process !== this.#process || offsets.some(({ partition }) => asked[partition] !== this.#assigned[partition])
    if (isFenced || !this.commitWorks) throw new Error('the coordinator moved')
    for (const { partition, offset, metadata } of offsets) {
      this.#refuse(offset < (this.committed[partition] ?? 0), `${partition} went back to ${offset}`)
      this.committed[partition] = offset
      this.#metadata[partition] = metadata
    }
  }

  /** Within one assignment: one at a time, none before an earlier one. */
  #watchOrder({ id, key, offset, assignment }: Call): void {
    const others = this.calls.filter(other => other.assignment === assignment && other.key === key && !other.signal.aborted)
    this.#refuse(others.length > 0, `${id} runs beside another one of its key`)
    this.#refuse(offset < (this.#last.get(`${assignment} ${key}`) ?? -1), `${id} runs after a later one of its key`)
    this.#last.set(`${assignment} ${key}`, offset)
  }
}

const partition = fc.nat({ max: partitions.length - 1 })
const ends = fc.array(fc.nat(), { maxLength: 4 })
const awayMs = fc.integer({ min: 0, max: 2_000 })
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      partition,
      keys: fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 6 }),
    }),
  },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('end' as const), pick: fc.nat(), works: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.integer({ min: 1, max: 900 }),
      commitWorks: fc.boolean(),
      commitMs: fc.constantFrom(0, 0, 300, 1_500),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('revoke' as const), partition, ends, awayMs }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), partition, awayMs }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stop' as const), ends }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash' as const) }) },
)

it('whatever ends, fails, leaves, is lost or crashes: nothing is lost or committed by who has it no more, nothing runs again that the broker was told of, commits never go back, keys keep their order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async steps => {
      const cluster = new Cluster()
      for (const each of steps) {
        if (each.kind === 'send') for (const key of each.keys) cluster.send(each.partition, key)
        else if (each.kind === 'end') await cluster.end(each.pick, each.works)
        else if (each.kind === 'wait') {
          cluster.commitWorks = each.commitWorks
          cluster.commitMs = each.commitMs
          await cluster.clock.advance(each.ms)
        } else if (each.kind === 'revoke') await cluster.revoke(each.partition, each.ends, each.awayMs)
        else if (each.kind === 'lose') await cluster.lose(each.partition, each.awayMs)
        else await (each.kind === 'stop' ? cluster.stop(each.ends) : cluster.crash())
      }
      cluster.commitWorks = true
      cluster.commitMs = 0
      await cluster.clock.advance(1_000)
      while (cluster.calls.length > 0) {
        await cluster.end(0, true)
        if (cluster.calls.length === 0) await cluster.clock.advance(1_000)
      }
      await cluster.clock.advance(5_000)
      expect(cluster.violations).toEqual([])
      expect(cluster.committed).toEqual(cluster.sent.map(keys => keys.length))
      expect(cluster.handled.size).toBe(cluster.sent.flat().length)
    }),
    { numRuns: 100 },
  )
})
