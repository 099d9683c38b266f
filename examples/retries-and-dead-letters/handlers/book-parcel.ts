import { defineHandler, PermanentError } from 'signalbox'

interface ShipmentRequested {
  readonly order_id: number
  readonly country: string
  readonly failures?: number
}

/** Stands for a call to a parcel service. */
export default defineHandler<ShipmentRequested>((event, ctx) => {
  const { order_id, country, failures = 0 } = event.data
  // Nothing will be different at the next attempt: no retries, straight to the dead-letter topic.
  if (country === 'AQ') throw new PermanentError('no parcels to Antarctica')
  if (ctx.attempt <= failures) throw new Error(`the parcel service is away (attempt ${ctx.attempt})`)
  // A real service would get ctx.idempotencyKey, which is the same at every attempt, and ctx.signal, which ends at the time-out.
  return { number: `P-${order_id}`, attempts: ctx.attempt }
})
