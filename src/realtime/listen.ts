import type { Server } from 'node:http'

export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** The server cannot take its address. */
export class ListenError extends Error {
  override readonly name = 'ListenError'
  readonly code: 'port-in-use' | 'port-denied' | 'address-unavailable' | 'listen-failed'
  /** What to do about it, in the imperative. */
  readonly hint: string

  constructor(code: ListenError['code'], message: string, hint: string, cause: unknown) {
    super(message, { cause })
    this.code = code
    this.hint = hint
  }
}

/** Port 0 takes any free one. Rejects with a ListenError; `key` is where the address stands in router.yaml, `broken` hears of errors later on. */
export function listen(server: Server, { host, port }: ListenAddress, key: string, broken: (error: Error) => void): Promise<ListenAddress> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => reject(listenError(error, `${host}:${port}`, key))
    server.once('error', failed)
    server.listen(port, host, () => {
      server.off('error', failed)
      server.on('error', broken)
      const address = server.address()
      resolve({ host, port: typeof address === 'object' && address !== null ? address.port : port })
    })
  })
}

function listenError(error: Error, address: string, key: string): ListenError {
  const code = 'code' in error ? error.code : undefined
  if (code === 'EADDRINUSE') {
    return new ListenError(
      'port-in-use',
      `${address} is in use by another process`,
      `Stop the other process or change ${key} in router.yaml`,
      error,
    )
  }
  if (code === 'EACCES') {
    return new ListenError(
      'port-denied',
      `${address} may not be used by this user`,
      `Use a port above 1023 for ${key} in router.yaml`,
      error,
    )
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return new ListenError('address-unavailable', `${address} is not an address of this machine`, `Correct ${key} in router.yaml`, error)
  }
  return new ListenError('listen-failed', `${address} cannot be listened on: ${error.message}`, `Correct ${key} in router.yaml`, error)
}
