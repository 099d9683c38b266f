import { createServer } from 'node:net'

/** The port itself where it is free on 127.0.0.1, else 0: any other. */
export function freePort(preferred: number): Promise<number> {
  return new Promise(resolve => {
    const probe = createServer()
    probe.once('error', () => resolve(0))
    probe.listen(preferred, '127.0.0.1', () => probe.close(() => resolve(preferred)))
  })
}
