import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const built = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface CommandOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** What it reads from stdin. */
  readonly input?: string
  /** Another copy of the command. */
  readonly main?: string
}

/** The built command, run to its end. */
export function router(args: readonly string[], options: CommandOptions = {}): Promise<Ended> {
  return new RunningCommand(args, options).ended
}

/** The built command as a process that goes on. It ends with the test. */
export class RunningCommand {
  readonly ended: Promise<Ended>
  readonly #child: ChildProcess
  readonly #waiting = new Set<() => void>()
  #stdout = ''
  #stderr = ''

  constructor(args: readonly string[], { cwd, env, input, main = built }: CommandOptions = {}) {
    const child = spawn(process.execPath, [main, ...args], { cwd, env: { ...process.env, ...env }, stdio: 'pipe' })
    this.#child = child
    child.stdin.end(input)
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      this.#stdout += chunk
      for (const look of this.#waiting) look()
    })
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      this.#stderr += chunk
      for (const look of this.#waiting) look()
    })
    this.ended = new Promise(resolve => child.once('close', code => resolve({ code, stdout: this.#stdout, stderr: this.#stderr })))
    onTestFinished(async () => {
      child.kill('SIGKILL')
      await this.ended
    })
  }

  get stdout(): string {
    return this.#stdout
  }

  get stderr(): string {
    return this.#stderr
  }

  send(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Resolves with the match once stdout or stderr has it. Rejects when the process ends before. */
  says(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(this.#stdout) ?? pattern.exec(this.#stderr)
        if (match === null) return
        this.#waiting.delete(look)
        resolve(match)
      }
      this.#waiting.add(look)
      look()
      void this.ended.then(({ code }) => {
        look()
        reject(new Error(`the command ended (${code}) before it said ${pattern}:\n${this.#stdout}\n${this.#stderr}`))
      })
    })
  }
}
