import { spawn } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** `router run` as it was built, in a project of these files (path to text) and a router.yaml that reads from the Kafka at `address`. */
export async function startRouter(root, { address, settings = '', files, env = {} }) {
  const port = await freePort()
  const routerYaml = `name: ${root.split('/').at(-1)}
broker: kafka
brokers: { kafka: { type: kafka, brokers: "${address}" } }
server: { host: 127.0.0.1, port: ${port}, apps: [{ id: a, key: k, secret: not-a-secret }] }
${settings}`
  for (const [file, text] of Object.entries({ 'router.yaml': routerYaml, ...files })) {
    await mkdir(join(root, file, '..'), { recursive: true })
    await writeFile(join(root, file), text)
  }
  const child = spawn(process.execPath, [main, 'run', '--project', root], { stdio: 'ignore', env: { ...process.env, ...env } })
  const exited = new Promise(resolve => child.once('exit', resolve))
  return {
    port,
    /** It stands still until `resume`. */
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    async stop() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

/**
 * Messages a second, and microseconds of the router's processor time for each: from the first look that sees some of them settled until the last that does
 * not see all of them.
 */
export async function untilSettled(router, messages, limitMs) {
  const endsAt = performance.now() + limitMs
  let [first, last] = [undefined, undefined]
  while (performance.now() < endsAt) {
    const sample = await look(router)
    if (sample !== undefined && sample.settled > 0) first ??= sample
    if (first !== undefined && sample !== undefined && sample.settled >= messages) {
      // Not the last look: it came too late by up to a pause.
      const end = last ?? sample
      const done = end.settled - first.settled
      return { rate: (done * 1000) / (end.at - first.at), cpu: ((end.cpu - first.cpu) * 1e6) / done }
    }
    if (first !== undefined && sample !== undefined && sample !== first) last = sample
    await sleep(first === undefined ? 5 : 100)
  }
  throw new Error('the messages were not settled in time')
}

/** What the router says of itself: messages settled, and seconds of processor time. Undefined while it starts. */
export async function look({ port }) {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`)
    const at = performance.now()
    const text = await response.text()
    const number = pattern => Number(pattern.exec(text)?.[1] ?? 0)
    const settled = number(/^signalbox_messages_settled_total\{[^}]*\} (\d+)/m)
    return { at, settled, cpu: number(/^process_cpu_seconds_total (\S+)/m) }
  } catch {
    return undefined
  }
}

/** Of an even number: the mean of the two in the middle. */
export function median(list) {
  const sorted = list.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

export async function freePort() {
  const server = createServer()
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}
