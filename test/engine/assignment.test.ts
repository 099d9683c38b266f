import { describe, expect, it } from 'vitest'
import { Assignment } from '../../src/engine/assignment.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'

describe('an assignment that was released', () => {
  it('takes no result any more: what is started by mistake is aborted at once and leaves no timer', async () => {
    const clock = new VirtualClock()
    const assignment = new Assignment('orders', 0, clock)
    assignment.release()
    const reasons: Error[] = []
    const settled = assignment.settle(Promise.resolve('late'), 1_000, { abort: reason => reasons.push(reason) })
    await expect(settled).rejects.toMatchObject({ name: 'AttemptReleased' })
    expect(reasons.map(({ name }) => name)).toEqual(['AttemptReleased'])
    expect(clock.waits).toEqual([])
  })
})
