import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

export { freePort } from './free-port.ts'

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

export interface RouterProcessOptions {
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
  /** Takes what ends the process for good; default: the end of the test does. */
  readonly cleanUp?: (end: () => Promise<void>) => void
}

/** The built command as a process of its own, as people run it. */
export class RouterProcess {
  readonly child: ChildProcess
  /** What it wrote to stderr, line by line. */
  readonly lines: string[] = []
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
  readonly #waiting = new Set<() => void>()

  constructor(args: readonly string[], options: RouterProcessOptions) {
    const child = spawn(process.execPath, [main, ...args], {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'inherit', 'pipe'],
    })
    this.child = child
    createInterface({ input: child.stderr }).on('line', line => {
      this.lines.push(line)
      for (const look of this.#waiting) look()
    })
    // `exit` may come before the last lines.
    this.exited = new Promise(resolve => child.once('close', (code, signal) => resolve({ code, signal })))
    const cleanUp = options.cleanUp ?? onTestFinished
    cleanUp(() => this.kill())
  }

  /** The first line that has `text`, now or later. Rejects when the process ends before. */
  async line(text: string): Promise<string> {
    const found = () => this.lines.find(line => line.includes(text))
    return await new Promise((resolve, reject) => {
      const look = () => {
        const line = found()
        if (line === undefined) return
        this.#waiting.delete(look)
        resolve(line)
      }
      this.#waiting.add(look)
      look()
      void this.exited.then(({ code }) =>
        reject(new Error(`the router ended (${code}) before it said ${text}:\n${this.lines.slice(-20).join('\n')}`)),
      )
    })
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.exited
  }

  /** Asks it to stop and resolves with its exit code. */
  async terminate(): Promise<number | null> {
    this.child.kill('SIGTERM')
    return (await this.exited).code
  }
}

/** Polls `/readyz` until the router says it is ready. */
export async function whenReady(port: number): Promise<void> {
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
    if (response?.status === 200) return
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}
