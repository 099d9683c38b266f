import { createConnection, createServer, type Server, type Socket } from 'node:net'

/** Passes connections on to ports of this machine, to one of them each, until it cuts them. */
export class TcpProxy {
  readonly #server: Server
  readonly #pairs = new Set<readonly [Socket, Socket]>()
  #port = 0
  /** Connections that it has cut. */
  cuts = 0

  private constructor(targets: readonly number[]) {
    this.#server = createServer(client => {
      const target = targets[Math.floor(Math.random() * targets.length)]
      const upstream = createConnection({ host: '127.0.0.1', port: target ?? 0 })
      const pair = [client, upstream] as const
      this.#pairs.add(pair)
      for (const [from, to] of [pair, [upstream, client] as const]) {
        from.on('error', () => {})
        from.on('close', () => {
          this.#pairs.delete(pair)
          to.destroy()
        })
        from.pipe(to)
      }
    })
  }

  static async to(...targets: readonly number[]): Promise<TcpProxy> {
    const proxy = new TcpProxy(targets)
    await proxy.open()
    const address = proxy.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the proxy does not listen')
    proxy.#port = address.port
    return proxy
  }

  get port(): number {
    return this.#port
  }

  /** After `close`, on the same port again. */
  async open(): Promise<void> {
    await new Promise<void>(resolve => this.#server.listen(this.#port, '127.0.0.1', resolve))
  }

  /** Cuts each connection for which `chosen` is true. */
  cut(chosen: () => boolean): void {
    for (const pair of this.#pairs) {
      if (!chosen()) continue
      this.cuts += 1
      for (const socket of pair) socket.resetAndDestroy()
    }
  }

  cutAll(): void {
    this.cut(() => true)
  }

  async close(): Promise<void> {
    this.cutAll()
    await new Promise<void>(resolve => this.#server.close(() => resolve()))
  }
}
