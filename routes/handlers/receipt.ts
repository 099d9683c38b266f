import { defineHandler, PermanentError } from 'signalbox'

interface OrderCreated {
  readonly order_id: string
  readonly total: number
}

/** Writes the receipt of an order. What it returns is `results.receipt` in the route. */
export default defineHandler<OrderCreated>((event, context) => {
  const { order_id: order, total } = event.data
  const { shop } = context.with
  // Trying again would not help: the route has to say where the shop is.
  if (typeof shop !== 'string') throw new PermanentError('the route gives no `with: { shop }`')
  context.log.debug({ order, total, attempt: context.attempt }, 'receipt written')
  return { url: `${shop}/receipts/${encodeURIComponent(order)}` }
})
