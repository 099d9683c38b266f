import { setTimeout as wait } from 'node:timers/promises'

interface SampleEvent {
  readonly topic: string
  readonly key: string
  readonly event: string
  readonly data: unknown
}

const customers = [
  { user_id: 1, name: 'Ada', city: 'Lisbon' },
  { user_id: 2, name: 'Bela', city: 'Pécs' },
  { user_id: 3, name: 'Chidi', city: 'Lagos' },
  { user_id: 4, name: 'Dora', city: 'Graz' },
  { user_id: 5, name: 'Emre', city: 'Izmir' },
] as const

const goods = [
  { sku: 'lamp-3', price: 45.5 },
  { sku: 'desk-1', price: 390 },
  { sku: 'chair-7', price: 129 },
  { sku: 'plant-2', price: 18.25 },
] as const

type Customer = (typeof customers)[number]

/** Milliseconds between two events, about: two a second. */
const pace = 500

/** What five customers of the shop do, the same after every start, for as long as nobody stops it. */
export default async function* sampleEvents(signal: AbortSignal): AsyncGenerator<SampleEvent> {
  const random = randomFrom(20_240_601)
  for (const event of endlessShop(random)) {
    yield event
    try {
      await wait(pace * (0.5 + random()), undefined, { signal })
    } catch {
      return
    }
  }
}

function* endlessShop(random: () => number): Generator<SampleEvent> {
  for (let number = 1; ; number++) {
    const customer = pick(customers, random)
    yield* orderOf(customer, `o-${number}`, random)
    const other = pick(customers, random)
    const key = `user-${other.user_id}`
    if (number % 2 === 0) yield { topic: 'profiles', key, event: 'user.updated', data: { ...other, city: pick(customers, random).city } }
    if (number % 3 === 0)
      yield { topic: 'orders', key, event: 'cart.abandoned', data: { user_id: other.user_id, items: 1 + Math.floor(random() * 4) } }
  }
}

/** One order from start to end; about every seventh payment fails first. Events of one order share the customer's key, so they stay in order. */
function* orderOf({ user_id }: Customer, order_id: string, random: () => number): Generator<SampleEvent> {
  const key = `user-${user_id}`
  const lines = Array.from({ length: 1 + Math.floor(random() * 2) }, () => ({
    ...pick(goods, random),
    quantity: 1 + Math.floor(random() * 2),
  }))
  const total = lines.reduce((sum, { price, quantity }) => sum + price * quantity, 0)
  const items = lines.map(({ sku, quantity }) => ({ sku, quantity }))
  const payment = { order_id, user_id, amount: total }
  yield { topic: 'orders', key, event: 'order.created', data: { order_id, user_id, total, currency: 'eur', items } }
  if (random() < 1 / 7) yield { topic: 'orders.payments', key, event: 'payment.failed', data: { ...payment, status: 'failed' } }
  yield { topic: 'orders.payments', key, event: 'payment.completed', data: { ...payment, status: 'completed' } }
  yield { topic: 'orders', key, event: 'order.paid', data: { order_id, user_id, status: 'paid' } }
  yield { topic: 'orders', key, event: 'order.shipped', data: { order_id, user_id, status: 'shipped' } }
}

function pick<T>(choices: readonly T[], random: () => number): T {
  const choice = choices[Math.floor(random() * choices.length)]
  if (choice === undefined) throw new RangeError('there is nothing to choose from')
  return choice
}

/** Numbers in [0, 1) that look random and are the same for one seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
