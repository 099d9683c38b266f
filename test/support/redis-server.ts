import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe } from 'vitest'
import { freePort } from './free-port.ts'

const isInstalled = spawnSync('redis-server', ['--version']).status === 0

/** Skipped where Redis is not installed; the reason is part of the name. */
export const describeWithRedis = isInstalled
  ? describe
  : (name: string, tests: () => void) => describe.skip(`${name} (redis-server is not installed)`, tests)

/** A real Redis of the test's own, without persistence: what it held is gone when it ends. */
export class RedisServer {
  readonly port: number
  readonly #folder: string
  #child: ChildProcess | undefined

  private constructor(port: number, folder: string) {
    this.port = port
    this.#folder = folder
  }

  /** Resolves when it answers. */
  static async start(): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), await mkdtemp(join(tmpdir(), 'signalbox-redis-')))
    await server.restart()
    return server
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Starts it again, on the same port and empty. */
  async restart(): Promise<void> {
    const options = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', this.#folder]
    this.#child = spawn('redis-server', options, { stdio: 'ignore' })
    while (!(await answers(this.port))) await sleep(20)
  }

  /** It goes away with all that it held. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null) return
    const exited = new Promise(resolve => child.once('exit', resolve))
    child.kill('SIGKILL')
    await exited
  }

  /** Half-open: connections stay and are accepted, and nothing is answered. */
  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  async stop(): Promise<void> {
    await this.kill()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = createConnection({ port, host: '127.0.0.1' })
    const end = (answered: boolean) => {
      socket.destroy()
      resolve(answered)
    }
    socket.once('connect', () => socket.write('PING\r\n'))
    socket.once('data', data => end(data.toString().startsWith('+PONG')))
    socket.once('error', () => end(false))
    socket.once('close', () => resolve(false))
  })
}
