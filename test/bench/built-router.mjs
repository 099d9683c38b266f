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

/** What it said of itself until all messages were settled, every `pauseMs`. */
export async function untilSettled(router, messages, { limitMs, pauseMs }) {
  const endsAt = performance.now() + limitMs
  const samples = []
  while (performance.now() < endsAt) {
    const sample = await look(router)
    if (sample !== undefined) samples.push(sample)
    if (sample !== undefined && sample.settled >= messages) return samples
    await sleep(pauseMs)
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
