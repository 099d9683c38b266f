import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { Drain } from '../../src/realtime/drain.ts'

test('any number wait for a slow socket by one listener, and go on in their order, again and again', async () => {
  let taken = (): void => {}
  const slow = new Writable({
    highWaterMark: 1,
    write: (_, __, done) => {
      taken = done
    },
  })
  const drain = new Drain(slow)
  for (const round of [1, 2]) {
    slow.write('more than it takes')
    const went: number[] = []
    for (let n = 0; n < 20; n++) drain.wait(() => went.push(n))
    expect([round, slow.listenerCount('drain'), went.length]).toEqual([round, 1, 0])
    const drained = new Promise(resolve => slow.once('drain', resolve))
    taken()
    await drained
    expect(went).toEqual(Array.from({ length: 20 }, (_, n) => n))
  }
})

test('who waits where nothing is queued goes on at the next turn', async () => {
  await new Promise<void>(resolve => new Drain(new Writable()).wait(resolve))
})
