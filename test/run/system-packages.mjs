import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { runCommand } from './children.mjs'

/** Programs that tests run, with the Debian packages that bring them. */
const programs = [
  { name: 'java', debian: 'default-jre-headless', forKafka: true },
  { name: 'mvn', debian: 'maven', forKafka: true },
  { name: 'openssl', debian: 'openssl', forKafka: false },
  { name: 'redis-server', debian: 'redis-server', forKafka: false },
  { name: 'chromium', debian: 'chromium', forKafka: false },
  { name: 'zsh', debian: 'zsh', forKafka: false },
  { name: 'fish', debian: 'fish', forKafka: false },
]

/** Installs missing programs where that is possible: on Debian, as root. Elsewhere the tests that need them say what to install. */
export async function installSystemPackages(say) {
  const hasCluster = (process.env.KAFKA_BROKERS ?? '') !== ''
  const missing = programs.filter(({ name, forKafka }) => !(forKafka && hasCluster) && !isInstalled(name))
  if (missing.length === 0) return
  const packages = missing.map(({ debian }) => debian)
  if (!existsSync('/etc/debian_version') || process.getuid?.() !== 0) {
    say(`Not installed: ${missing.map(({ name }) => name).join(', ')} (Debian: apt-get install ${packages.join(' ')})`)
    return
  }
  say(`Installing ${packages.join(', ')} ...`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const steps = [
    ['apt-get', ['update']],
    ['apt-get', ['install', '-y', '--no-install-recommends', ...packages]],
  ]
  for (const [command, args] of steps) {
    const { ok, output } = await runCommand(command, args, { env })
    if (!ok) say(`${command} ${args.join(' ')} did not work:\n${output}`)
  }
}

function isInstalled(program) {
  return (process.env.PATH ?? '').split(delimiter).some(folder => folder !== '' && existsSync(join(folder, program)))
}
