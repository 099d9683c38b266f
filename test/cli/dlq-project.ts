/** One route that fails at its second action, and one that does not. */
export const dlqRoutes = (topic: string, more = ''): string => `topics: ${topic}
${more}defaults: { retry: { attempts: 1 }, deadLetterOversize: reference }
routes:
  ship:
    event: order.created
    actions:
      - invoke: ../handlers/price.ts
        as: price
      - invoke: ../handlers/ship.ts
        with: { price: "{{results.price}}" }
  count:
    event: order.created
    actions:
      - invoke: ../handlers/count.ts
`

/** A handler that logs what it is, for which order, and the price it is given. */
export const says = (what: string): string =>
  `export default (event, ctx) => { ctx.log.info({}, 'SAID ${what} ' + event.data.id + ' ' + (ctx.with.price ?? '')); return 5 }\n`
