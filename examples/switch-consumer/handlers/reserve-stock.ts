import { defineHandler } from 'signalbox'

interface OrderCreated {
  readonly order_id: number
  readonly items: readonly { readonly sku: string; readonly quantity: number }[]
}

/** Stands for what your consumer did in that case. It may be async, and it may throw: then it is tried again. */
export default defineHandler<OrderCreated>((event, ctx) => {
  const reserved = event.data.items.reduce((sum, { quantity }) => sum + quantity, 0)
  ctx.log.info({ order: event.data.order_id, reserved }, 'stock reserved')
  return { reserved }
})
