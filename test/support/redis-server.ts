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

export interface RedisServerOptions {
  /** What it held is there again when it is started again; default: it is gone. */
  readonly isKept?: boolean
}

/** A real Redis of the test's own. */
export class RedisServer {
  readonly port: number
  readonly #folder: string
  readonly #isKept: boolean
  #child: ChildProcess | undefined

  private constructor(port: number, folder: string, { isKept = false }: RedisServerOptions) {
    this.port = port
    this.#folder = folder
    this.#isKept = isKept
  }

  /** Resolves when it answers. */
  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), await mkdtemp(join(tmpdir(), 'signalbox-redis-')), options)
    await server.restart()
    return server
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Starts it again, on the same port. */
  async restart(): Promise<void> {
    const persistence = this.#isKept ? ['--appendonly', 'yes', '--appendfsync', 'always'] : ['--save', '', '--appendonly', 'no']
    const options = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder, ...persistence]
    this.#child = spawn('redis-server', options, { stdio: 'ignore' })
    while (!(await answers(this.port))) await sleep(20)
  }

  /** It goes away without a goodbye. */
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
