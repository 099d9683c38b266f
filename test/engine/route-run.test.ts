import { describe, expect, it } from 'vitest'
import { ActionSignal } from '../../src/compiler/plan.ts'
import { TemplateError } from '../../src/compiler/scope.ts'
import { Harness, held } from './harness.ts'
import { action, noDeadLetter, noting, record, route, steadyRetry, subscription } from './plan-builders.ts'

class PermanentError extends Error {
  override readonly name = 'PermanentError'
}

const routeCounters = (harness: Harness, id = 'shop/r') => ({ ...harness.processor.counters.route(id) })

describe('the actions of a route', () => {
  it('run in order, each waits for the one before, and results carry the name given by `as`', async () => {
    const ran: string[] = []
    const slow = held()
    const harness = new Harness(
      subscription([
        route('r', [
          action(
            noting(ran, () => 'one', { url: '/1' }),
            { as: 'one' },
          ),
          action(
            noting(ran, () => 'two', slow.promise),
            { as: 'two' },
          ),
          action(({ results }) => ran.push(JSON.stringify(results))),
        ]),
      ]),
    )
    harness.send('e')
    await harness.clock.settle()
    expect(ran).toEqual(['one', 'two'])
    slow.resolve(2)
    await harness.clock.settle()
    expect(ran).toEqual(['one', 'two', '{"one":{"url":"/1"},"two":2}'])
    expect(routeCounters(harness)).toMatchObject({ done: 1 })
  })

  it('results of one message are never seen by the next, nor by another route', () => {
    const seen: unknown[] = []
    const keeps = (name: string) =>
      route(name, [action(({ results, offset }) => seen.push([name, { ...results }, offset])), action(() => 'x', { as: 'kept' })])
    const harness = new Harness(subscription([keeps('a'), keeps('b')]))
    harness.send('e')
    harness.send('e')
    expect(seen).toEqual([
      ['a', {}, 0],
      ['b', {}, 0],
      ['a', {}, 1],
      ['b', {}, 1],
    ])
  })

  it('a result named __proto__ is only a result', () => {
    const seen: unknown[] = []
    const harness = new Harness(
      subscription([
        route('r', [action(() => ({ polluted: 1 }), { as: '__proto__' }), action(({ results }) => seen.push(Object.keys(results)))]),
      ]),
    )
    harness.send('e')
    expect(seen).toEqual([['__proto__']])
    expect(Reflect.get({}, 'polluted')).toBeUndefined()
  })

  it('an action whose `when` does not hold is left out, before and after something waited', async () => {
    const ran: string[] = []
    const harness = new Harness(
      subscription([
        route('r', [
          action(() => ran.push('never'), { when: () => false }),
          action(async () => ran.push('async')),
          action(() => ran.push('never'), { when: () => false }),
          action(() => ran.push('last'), { when: ({ data }) => data === 5 }),
        ]),
      ]),
    )
    harness.send('e', 5)
    await harness.clock.settle()
    expect(ran).toEqual(['async', 'last'])
  })

  it('a condition is asked once for a message, whether its action waits or not', async () => {
    const asked: string[] = []
    const asking = (name: string) => () => asked.push(name) > 0
    const harness = new Harness(
      subscription([
        route('r', [
          action(() => null, { when: asking('sync') }),
          action(async () => null, { when: asking('async') }),
          action(() => null, { when: asking('after') }),
        ]),
      ]),
    )
    harness.send('e')
    await harness.clock.settle()
    expect(asked).toEqual(['sync', 'async', 'after'])
  })

  it('`when` of an action sees the results before it', async () => {
    const ran: string[] = []
    const harness = new Harness(
      subscription([
        route('r', [
          action(async () => 'yes', { as: 'answer' }),
          action(() => ran.push('acted'), { when: ({ results }) => results['answer'] === 'yes' }),
        ]),
      ]),
    )
    harness.send('e')
    await harness.clock.settle()
    expect(ran).toEqual(['acted'])
  })

  it.each([
    ['at once', (signal: ActionSignal) => signal],
    ['later', async (signal: ActionSignal) => signal],
  ])('a skip said %s is counted by its reason and the route goes on', async (_name, say) => {
    const ran: string[] = []
    const harness = new Harness(
      subscription([route('r', [action(() => say(new ActionSignal('skip', 'no-data'))), action(() => ran.push('next'))])]),
    )
    harness.send('e')
    await harness.clock.settle()
    expect(ran).toEqual(['next'])
    expect(harness.processor.counters.skips).toEqual(new Map([['no-data', 1]]))
    expect(routeCounters(harness)).toMatchObject({ done: 1, skipped: 0 })
  })

  it('a message whose every action was left out counts as skipped, inside forEach too', async () => {
    const skip = () => new ActionSignal('skip', 'no-event')
    const forEach = { path: 'data', read: () => [1, 2] }
    const harness = new Harness(subscription([route('r', [action(skip)]), route('each', [action(skip, { forEach })])]))
    harness.send('e')
    await harness.clock.settle()
    expect(routeCounters(harness)).toMatchObject({ done: 0, skipped: 1 })
    expect(routeCounters(harness, 'shop/each')).toMatchObject({ done: 0, skipped: 1 })
    expect(harness.processor.counters.skips).toEqual(new Map([['no-event', 3]]))
  })

  it.each([
    ['at once', (signal: ActionSignal) => signal],
    ['later', async (signal: ActionSignal) => signal],
  ])('a drop said %s ends the route quietly', async (_name, say) => {
    const ran: string[] = []
    const harness = new Harness(
      subscription([route('r', [action(() => say(new ActionSignal('drop', 'handler'))), action(() => ran.push('next'))])]),
    )
    harness.send('e')
    await harness.clock.settle()
    expect(ran).toEqual([])
    expect(routeCounters(harness)).toMatchObject({ done: 0, dropped: 1 })
    expect(harness.letters).toEqual([])
    expect(harness.position()).toBe(1)
  })

  it('a route whose `when` does not hold is filtered, and that is not unmatched', () => {
    const ran: string[] = []
    const harness = new Harness(
      subscription([route('r', [action(() => ran.push('r'))], { when: () => false })], {
        unmatched: { policy: 'actions', route: route('unmatched', [action(() => ran.push('unmatched'))]) },
      }),
    )
    harness.send('e')
    expect(ran).toEqual([])
    expect(routeCounters(harness)).toMatchObject({ filtered: 1, done: 0 })
  })

  it('see the message, who they are and which try it is', async () => {
    const seen: unknown[] = []
    const harness = new Harness(
      subscription([
        route('r', [
          action(() => null),
          action((scope, attempt) => {
            seen.push([
              attempt.number,
              attempt.position,
              attempt.route.id,
              attempt.identity,
              attempt.broker,
              attempt.element,
              attempt.record.offset,
            ])
            if (attempt.number === 1) throw new Error('once')
            seen.push([
              scope.id,
              scope.event,
              scope.key,
              scope.topic,
              scope.partition,
              scope.offset,
              scope.timestamp,
              { ...scope.headers },
              scope.item,
            ])
          }),
        ]),
      ]),
    )
    harness.deliverRecords([
      record({
        offset: 7,
        key: 'k',
        value: '{"id":"a1","event":"e","data":1}',
        timestamp: 5,
        headers: { h: [Buffer.from('x'), Buffer.from('y')] },
      }),
    ])
    await harness.clock.runOut()
    expect(seen).toEqual([
      [1, 1, 'shop/r', 'a1', 'local', undefined, 7],
      [2, 1, 'shop/r', 'a1', 'local', undefined, 7],
      ['a1', 'e', 'k', 'orders', 0, 7, 5, { h: 'y' }, undefined],
    ])
  })

  it.each([
    [
      'its CloudEvents source and id',
      '{"specversion":"1.0","id":"1","source":"/s","type":"e"}',
      { 'content-type': Buffer.from('application/cloudevents') },
      '/s/1',
    ],
    ['its place in the topic', '{"event":"e","data":1}', {}, 'orders/0/3'],
  ])('the identity of a message is %s', (_name, value, headers, identity) => {
    const seen: unknown[] = []
    const harness = new Harness(subscription([route('r', [action((_scope, attempt) => seen.push(attempt.identity))])]))
    harness.deliverRecords([record({ offset: 3, value, headers })])
    expect(seen).toEqual([identity])
  })
})

describe('retries', () => {
  it('run the failed action alone, after growing waits, and then go on', async () => {
    const ran: string[] = []
    const harness = new Harness(
      subscription([
        route('r', [
          action(() => ran.push('one')),
          action((_scope, { number }) => {
            ran.push(`two #${number} at ${harness.clock.monotonic()}`)
            if (number < 4) throw new Error('busy')
          }),
          action(() => ran.push('three')),
        ]),
      ]),
    )
    harness.send('e')
    await harness.clock.runOut()
    expect(ran).toEqual(['one', 'two #1 at 0', 'two #2 at 100', 'two #3 at 300', 'two #4 at 700', 'three'])
    expect(harness.processor.counters.retries).toBe(3)
    expect(harness.letters).toEqual([])
  })

  it.each([1, 2, 5])('%i attempts are exactly that many', async attempts => {
    let tries = 0
    const harness = new Harness(
      subscription([
        route('r', [
          action(
            () => {
              tries++
              throw new Error('always')
            },
            { retry: { ...steadyRetry, attempts } },
          ),
        ]),
      ]),
    )
    harness.send('e')
    await harness.clock.runOut()
    expect(tries).toBe(attempts)
    expect(harness.letters).toHaveLength(1)
    expect(String(harness.letters[0]?.headers['signalbox-attempts'])).toBe(String(attempts))
  })

  it.each<[string, () => unknown]>([
    ['a PermanentError', () => Promise.reject(new PermanentError('no such user'))],
    [
      'a PermanentError thrown at once',
      () => {
        throw new PermanentError('no such user')
      },
    ],
    [
      'a template error',
      () => {
        throw new TemplateError('no user_id', 'private-user.{{data.user_id}}')
      },
    ],
    [
      'an error that says it is permanent',
      () => {
        throw Object.assign(new Error('too large'), { permanent: true })
      },
    ],
  ])('%s is not tried again', async (_name, fail) => {
    let tries = 0
    const harness = new Harness(
      subscription([
        route('r', [
          action(() => {
            tries++
            return fail()
          }),
        ]),
      ]),
    )
    harness.send('e')
    await harness.clock.runOut()
    expect(tries).toBe(1)
    expect(harness.letters).toHaveLength(1)
    expect(harness.position()).toBe(1)
  })
})

describe('time-outs', () => {
  it('abort the signal, count as a failed attempt, and what comes later is ignored', async () => {
    const late = held()
    const signals: AbortSignal[] = []
    const ran: unknown[] = []
    const harness = new Harness(
      subscription([
        route('r', [
          action(
            (_scope, attempt) => {
              signals.push(attempt.signal)
              return attempt.number === 1 ? late.promise : 'second'
            },
            { as: 'it', timeoutMs: 1_000 },
          ),
          action(({ results }) => ran.push(results['it'])),
        ]),
      ]),
    )
    harness.send('e')
    await harness.clock.advance(999)
    expect(signals[0]?.aborted).toBe(false)
    await harness.clock.advance(1)
    expect(signals[0]?.aborted).toBe(true)
    expect(signals[0]?.reason).toMatchObject({ name: 'AttemptTimeout', message: 'no result within 1000 ms' })
    late.resolve('late')
    await harness.clock.advance(100)
    expect(ran).toEqual(['second'])
    expect(signals[1]?.aborted).toBe(false)
  })

  it('a late failure is ignored too', async () => {
    const late = held()
    const harness = new Harness(
      subscription([route('r', [action(() => late.promise, { timeoutMs: 50, retry: { ...steadyRetry, attempts: 1 } })])]),
    )
    harness.send('e')
    await harness.clock.advance(50)
    late.reject(new Error('late'))
    await harness.clock.settle()
    expect(harness.letters).toHaveLength(1)
    expect(String(harness.letters[0]?.headers['kafka_dlt-exception-fqcn'])).toBe('AttemptTimeout')
    expect(harness.position()).toBe(1)
  })

  it('an attempt that ends in time leaves no timer and an unaborted signal', async () => {
    const signals: AbortSignal[] = []
    const harness = new Harness(
      subscription([route('r', [action(async (_scope, attempt) => signals.push(attempt.signal), { timeoutMs: 5_000 })])]),
    )
    harness.send('e')
    await harness.clock.advance(600)
    expect(harness.clock.waits).toEqual([])
    expect(signals[0]?.aborted).toBe(false)
  })
})

describe('forEach', () => {
  const each = (read: (data: unknown) => readonly unknown[]) => ({ path: 'data', read: ({ data }: { data: unknown }) => read(data) })
  const list = each(data => (Array.isArray(data) ? data : []))

  it('runs the action for each element in turn and keeps their results in order', async () => {
    const ran: unknown[] = []
    const harness = new Harness(
      subscription([
        route('r', [
          action(
            async ({ item }, { element }) => {
              ran.push([item, element])
              return `${item}!`
            },
            { forEach: list, as: 'all' },
          ),
          action(({ results, item }) => ran.push([results['all'], item])),
        ]),
      ]),
    )
    harness.send('e', ['a', 'b'])
    await harness.clock.settle()
    expect(ran).toEqual([
      ['a', 0],
      ['b', 1],
      [['a!', 'b!'], undefined],
    ])
  })

  it('tries only the failed element again', async () => {
    const ran: string[] = []
    const harness = new Harness(
      subscription([
        route('r', [
          action(
            ({ item }, { number }) => {
              ran.push(`${item}#${number}`)
              if (item === 'b' && number < 3) throw new Error('busy')
            },
            { forEach: list },
          ),
        ]),
      ]),
    )
    harness.send('e', ['a', 'b', 'c'])
    await harness.clock.runOut()
    expect(ran).toEqual(['a#1', 'b#1', 'b#2', 'b#3', 'c#1'])
  })

  it('an element that fails for good ends the route with one dead letter', async () => {
    const ran: unknown[] = []
    const harness = new Harness(
      subscription([
        route('r', [
          action(
            ({ item }) => {
              ran.push(item)
              if (item === 'b') throw new PermanentError('no')
            },
            { forEach: list },
          ),
          action(() => ran.push('next')),
        ]),
      ]),
    )
    harness.send('e', ['a', 'b', 'c'])
    await harness.clock.runOut()
    expect(ran).toEqual(['a', 'b'])
    expect(harness.letters).toHaveLength(1)
  })

  it('drop ends the route, not only the element', async () => {
    const ran: unknown[] = []
    const harness = new Harness(
      subscription([
        route('r', [
          action(
            noting<unknown>(ran, ({ item }) => item, new ActionSignal('drop', 'handler')),
            { forEach: list },
          ),
          action(() => ran.push('next')),
        ]),
      ]),
    )
    harness.send('e', ['a', 'b'])
    await harness.clock.runOut()
    expect(ran).toEqual(['a'])
    expect(routeCounters(harness)).toMatchObject({ dropped: 1, done: 0 })
  })

  it('no elements is nothing to do, and done', async () => {
    const harness = new Harness(subscription([route('r', [action(() => expect.unreachable(), { forEach: list })])]))
    harness.send('e', [])
    await harness.clock.settle()
    expect(routeCounters(harness)).toMatchObject({ done: 1 })
    expect(harness.position()).toBe(1)
  })

  it('a path that cannot be read is permanent', async () => {
    const forEach = {
      path: 'data.ids',
      read: () => {
        throw new TemplateError('data.ids is missing', 'data.ids')
      },
    }
    const harness = new Harness(subscription([route('r', [action(() => null, { forEach })])]))
    harness.send('e')
    await harness.clock.settle()
    expect(String(harness.letters[0]?.headers['kafka_dlt-exception-fqcn'])).toBe('TemplateError')
    expect(String(harness.letters[0]?.headers['signalbox-attempts'])).toBe('1')
  })
})

describe('continueOnError', () => {
  it('dead-letters the failure and runs the next action', async () => {
    const ran: string[] = []
    const fail = () => {
      throw new PermanentError('no')
    }
    const harness = new Harness(subscription([route('r', [action(fail, { continueOnError: true }), action(() => ran.push('next'))])]))
    harness.send('e')
    await harness.clock.runOut()
    expect(ran).toEqual(['next'])
    expect(harness.letters).toHaveLength(1)
    expect(harness.position()).toBe(1)
  })

  it('the message counts as dead-lettered once, not as done', async () => {
    const fail = () => {
      throw new PermanentError('no')
    }
    const harness = new Harness(
      subscription([route('r', [action(fail, { continueOnError: true }), action(fail, { continueOnError: true }), action(() => null)])]),
    )
    harness.send('e')
    await harness.clock.runOut()
    expect(harness.letters).toHaveLength(2)
    expect(routeCounters(harness)).toMatchObject({ deadLettered: 1, done: 0, failed: 0 })
  })

  it('a failure given up without a dead letter counts as failed', async () => {
    const fail = () => {
      throw new PermanentError('no')
    }
    const harness = new Harness(
      subscription([route('r', [action(fail, { continueOnError: true, deadLetter: noDeadLetter }), action(() => null)])]),
    )
    harness.send('e')
    await harness.clock.runOut()
    expect(routeCounters(harness)).toMatchObject({ failed: 1, done: 0, deadLettered: 0 })
  })
})

describe('one outcome for each message', () => {
  const fail = () => {
    throw new PermanentError('no')
  }
  const given = action(fail, { continueOnError: true, deadLetter: noDeadLetter })
  const lettered = action(fail, { continueOnError: true })
  const drops = action(() => new ActionSignal('drop', 'handler'))

  it.each([
    ['a dead letter counts before what was only given up', [lettered, given], { deadLettered: 1, failed: 0 }],
    ['in either order', [given, lettered], { deadLettered: 1, failed: 0 }],
    ['a dead letter counts before a drop', [lettered, drops], { deadLettered: 1, dropped: 0 }],
    ['a failure counts before a drop', [given, drops], { failed: 1, dropped: 0 }],
  ])('%s', async (_name, actions, counted) => {
    const harness = new Harness(subscription([route('r', actions)]))
    harness.send('e')
    await harness.clock.runOut()
    expect(routeCounters(harness)).toMatchObject({ done: 0, ...counted })
  })
})

describe('routes side by side', () => {
  it('start in file order and all run', () => {
    const ran: string[] = []
    const harness = new Harness(subscription(['c', 'a', 'b'].map(name => route(name, [action(() => ran.push(name))]))))
    harness.send('e')
    expect(ran).toEqual(['c', 'a', 'b'])
  })

  it('one that retries does not hold up the other; the message is done when both are', async () => {
    const ran: string[] = []
    const flaky = action((_scope, { number }) => {
      ran.push(`flaky #${number}`)
      if (number < 3) throw new Error('busy')
    })
    const harness = new Harness(
      subscription([
        route('flaky', [flaky]),
        route('steady', [action(async () => ran.push('steady 1')), action(() => ran.push('steady 2'))]),
      ]),
    )
    harness.send('e', {}, 'k')
    harness.send('e', {}, 'k')
    await harness.clock.settle()
    expect(ran).toEqual(['flaky #1', 'steady 1', 'steady 2'])
    expect(harness.position()).toBe(0)
    await harness.clock.advance(300)
    expect(ran.slice(3, 6)).toEqual(['flaky #2', 'flaky #3', 'flaky #1'])
    expect(harness.position()).toBe(1)
  })

  it('one that is dead-lettered leaves the other alone', async () => {
    const ran: string[] = []
    const slow = held()
    const fail = () => {
      throw new PermanentError('no')
    }
    const harness = new Harness(
      subscription([route('bad', [action(fail)]), route('good', [action(() => slow.promise), action(() => ran.push('good'))])]),
    )
    harness.send('e')
    await harness.clock.settle()
    expect(harness.letters).toHaveLength(1)
    expect(harness.position()).toBe(0)
    slow.resolve(null)
    await harness.clock.settle()
    expect(ran).toEqual(['good'])
    expect(harness.position()).toBe(1)
    expect(routeCounters(harness, 'shop/bad')).toMatchObject({ deadLettered: 1 })
    expect(routeCounters(harness, 'shop/good')).toMatchObject({ done: 1 })
  })
})

describe('faults', () => {
  const odd: [string, () => unknown][] = [
    ['undefined', () => undefined],
    ['null', () => null],
    ['a string', () => 'just text'],
    ['a number', () => 42],
    ['a symbol', () => Symbol('odd')],
    ['a map without prototype', () => Object.create(null)],
    ['an error whose message is no text', () => Object.assign(new Error('x'), { message: { not: 'text' } })],
    ['an error whose name is no text', () => Object.assign(new Error('x'), { name: 7 })],
    ['an error that throws when it is read', unreadable],
    ['a revoked proxy', revokedProxy],
  ]

  it.each(odd)('an action that throws %s is dead-lettered under its route, and the next message runs', async (_name, make) => {
    const ran: unknown[] = []
    const actions = [
      action(({ data }) => {
        ran.push(data)
        if (data === 'bad') throw make()
      }),
    ]
    const harness = new Harness(subscription([route('r', actions)]))
    harness.send('e', 'bad')
    harness.send('e', 'good')
    await harness.clock.runOut()
    expect(ran.filter(data => data === 'good')).toHaveLength(1)
    expect(harness.position()).toBe(2)
    expect(harness.letters).toHaveLength(1)
    expect(String(harness.letters[0]?.headers['signalbox-route'])).toBe('shop/r')
    expect(harness.committed()).toBe(2)
  })

  it.each(odd)('an action that rejects with %s is dead-lettered too', async (_name, make) => {
    const harness = new Harness(
      subscription([route('r', [action(() => Promise.reject(make()), { retry: { ...steadyRetry, attempts: 2 } })])]),
    )
    harness.send('e')
    await harness.clock.runOut()
    expect(harness.letters).toHaveLength(1)
    expect(harness.position()).toBe(1)
  })

  it.each(odd)('a condition that throws %s dead-letters its route', async (_name, make) => {
    const when = () => {
      throw make()
    }
    const harness = new Harness(subscription([route('r', [action(() => null)], { when })]))
    harness.send('e')
    await harness.clock.runOut()
    expect(harness.letters.map(letter => String(letter.headers['signalbox-route']))).toEqual(['shop/r'])
    expect(harness.position()).toBe(1)
  })

  it.each(['route', 'action', 'later action', 'schema'])(
    'a fault in the condition of a %s does not let the message pass the other routes',
    async place => {
      const slow = held()
      const ran: string[] = []
      const fault = () => {
        throw new Error('fault')
      }
      const faulty = {
        route: route('faulty', [action(() => null)], { when: fault }),
        action: route('faulty', [action(() => null, { when: fault })]),
        'later action': route('faulty', [action(async () => null), action(() => null, { when: fault })]),
        schema: route('faulty', [action(() => null)], { schema: { file: 's.json', check: fault } }),
      }[place]
      if (faulty === undefined) throw new Error(place)
      const first = route('first', [action(() => slow.promise), action(() => ran.push('first'))])
      const last = route('last', [action(() => ran.push('last'))])
      const harness = new Harness(subscription([first, faulty, last]))
      harness.send('e', {}, 'k')
      await harness.clock.settle()
      expect(ran).toEqual(['last'])
      expect(harness.letters.map(letter => String(letter.headers['signalbox-route']))).toEqual(['shop/faulty'])
      expect(harness.position()).toBe(0)
      slow.resolve(null)
      await harness.clock.settle()
      expect(ran).toEqual(['last', 'first'])
      expect(harness.position()).toBe(1)
    },
  )

  it('a plan that cannot match dead-letters the message', async () => {
    const match = () => {
      throw new Error('no match')
    }
    const harness = new Harness({ ...subscription([]), match })
    harness.send('e')
    await harness.clock.settle()
    expect(harness.letters).toHaveLength(1)
    expect(harness.position()).toBe(1)
  })

  it('a promise-like that breaks its word leaves nothing behind', async () => {
    const signals: AbortSignal[] = []
    const broken = {
      // biome-ignore lint/suspicious/noThenProperty: a promise-like is what is tried here
      then() {
        throw new Error('broken')
      },
    }
    const harness = new Harness(
      subscription([
        route('r', [
          action(
            noting(signals, (_scope, { signal }) => signal, broken),
            { retry: { ...steadyRetry, attempts: 1 } },
          ),
        ]),
      ]),
    )
    harness.send('e')
    await harness.clock.runOut()
    expect(String(harness.letters[0]?.headers['kafka_dlt-exception-message'])).toBe('broken')
    expect(signals[0]?.aborted).toBe(false)
  })
})

function unreadable(): Error {
  const error = new Error('x')
  const refuse = () => {
    throw new Error('not readable')
  }
  for (const name of ['stack', 'name', 'message', 'permanent']) Object.defineProperty(error, name, { get: refuse })
  return error
}

function revokedProxy(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}
