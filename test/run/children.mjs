import { spawn } from 'node:child_process'

const running = new Set()
let stopped = false

/**
 * Runs a command to its end. Resolves to `{ ok, output, seconds }`: `output` holds what it printed, unless `show` lets it print by itself.
 * A command that takes longer than `limitMs` is ended, with everything it has started.
 */
export function runCommand(command, args, { cwd, env = process.env, show = false, limitMs = 10 * 60_000 } = {}) {
  const startedAt = performance.now()
  return new Promise(resolve => {
    const output = []
    let late = false
    // A process group of its own: ending it ends what the command has started too.
    const child = spawn(command, args, {
      cwd,
      env,
      detached: true,
      stdio: ['ignore', show ? 'inherit' : 'pipe', show ? 'inherit' : 'pipe'],
    })
    running.add(child)
    const timer = setTimeout(() => {
      late = true
      end(child, 'SIGKILL')
    }, limitMs)
    const finish = (ok, extra) => {
      clearTimeout(timer)
      running.delete(child)
      // What it has started and left behind.
      end(child, 'SIGKILL')
      if (extra !== undefined) output.push(extra)
      resolve({ ok, output: output.join('').trim(), seconds: (performance.now() - startedAt) / 1000 })
    }
    child.stdout?.setEncoding('utf8').on('data', chunk => output.push(chunk))
    child.stderr?.setEncoding('utf8').on('data', chunk => output.push(chunk))
    child.once('error', error => finish(false, error.message))
    child.once('close', code => finish(code === 0, late ? `\nended after ${limitMs / 1000} s` : undefined))
    if (stopped) end(child, 'SIGKILL')
  })
}

/** Ends every command that runs, and every one that is started from now on. */
export async function endAllCommands() {
  stopped = true
  for (const child of running) end(child, 'SIGTERM')
  for (let waited = 0; running.size > 0 && waited < 10_000; waited += 100) await new Promise(resolve => setTimeout(resolve, 100))
  for (const child of running) end(child, 'SIGKILL')
}

function end(child, signal) {
  try {
    process.kill(-child.pid, signal)
  } catch {
    // It has ended meanwhile.
  }
}
