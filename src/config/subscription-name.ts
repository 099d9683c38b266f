/** The name of the subscription in a route file: its path below `routes/` without its extension. `routes/shop/orders.yaml` is `shop/orders`. */
export function subscriptionName(file: string): string {
  return file.replace(/^routes\//, '').replace(/\.(?:ya?ml|json)$/, '')
}
