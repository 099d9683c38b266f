import { randomBytes } from 'node:crypto'
import type { Command } from 'commander'
import type { NewsListener } from '../../inspector/inspector.ts'
import type { ReloadResult, RouterAddress, RunningRouter } from '../../runtime/router-options.ts'
import { writeDevFile } from '../dev-file.ts'
import { logLevelOption, portNumber } from '../flags.ts'
import { hasColor, print } from '../output.ts'
import { type GlobalOptions, projectRoot } from '../project-root.ts'

interface DevOptions extends GlobalOptions {
  readonly broker?: string
  readonly port?: number
  readonly inspectorPort?: number
  readonly samples?: string
  readonly messages?: boolean
  readonly logLevel: string
}

/** Taken when it is free and no other is asked for, so that a page left open finds the next start again. */
const usualInspectorPort = 6002

export function addDev(program: Command): void {
  program
    .command('dev')
    .summary('run it here while you edit, with the inspector page')
    .description('Runs the project on an embedded broker, applies every edit on save, and serves a page that shows what happens.')
    .option('--broker <name>', 'use the brokers of router.yaml, and this one for route files that name none')
    .option('--port <port>', "the WebSocket server's port instead of router.yaml's (0: any free one)", portNumber)
    .option('--inspector-port <port>', `the page's port (0: any free one; default: ${usualInspectorPort} if it is free)`, portNumber)
    .option('--samples <file>', 'a module whose default export generates events to publish')
    .option('--messages', 'a line for each message (default: on a terminal)')
    .option('--no-messages', 'no lines for messages')
    .addOption(logLevelOption())
    .addHelpText('after', '\nExamples:\n  $ router dev\n  $ router dev --broker kafka --port 6101\n')
    .action(async (_options: unknown, command: Command) => {
      await dev(command.optsWithGlobals<DevOptions>())
    })
}

async function dev(options: DevOptions): Promise<void> {
  const root = projectRoot(options)
  const [{ runRouter }, { loadSamples, publishSamples }, { freePort }, { describeReload }, { MessageLines }] = await Promise.all([
    import('../router-session.ts'),
    import('../sample-events.ts'),
    import('../free-port.ts'),
    import('../reload-report.ts'),
    import('../message-lines.ts'),
  ])
  const samples = options.samples === undefined ? undefined : await loadSamples(options.samples)
  const token = randomBytes(24).toString('base64url')
  const inspectorPort = options.inspectorPort ?? (await freePort(usualInspectorPort))
  const lines = new MessageLines({ color: hasColor(process.stdout), write: print, now: () => performance.now() })
  const showsMessages = options.messages ?? process.stdout.isTTY === true
  const inspector = {
    port: inspectorPort,
    token,
    onNews: showsMessages ? (...news: Parameters<NewsListener>) => lines.take(...news) : undefined,
  }
  await runRouter({
    router: { root, mode: 'dev', broker: options.broker, port: options.port, inspector },
    logLevel: options.logLevel,
    prettyLog: true,
    onReload: (result: ReloadResult) => {
      const text = describeReload(result, new Date(), { color: hasColor(process.stdout) })
      if (text !== undefined) print(text)
    },
    onStarted: (router, log) => {
      announce(root, router, token)
      if (samples !== undefined) void publishSamples(samples, router, log)
    },
  })
}

function announce(root: string, router: RunningRouter, token: string): void {
  const { inspector } = router.address
  if (inspector !== undefined) {
    const remove = writeDevFile(root, { url: `http://127.0.0.1:${inspector.port}`, token })
    // Also when a second signal ends the process at once.
    process.once('exit', remove)
  }
  print(banner(router.address))
}

function banner({ host, port, admin, inspector }: RouterAddress): string {
  const lines = [
    `  WebSocket  ws://${reachable(host)}:${port}`,
    ...(admin === undefined ? [] : [`  Metrics    http://${reachable(admin.host)}:${admin.port}/metrics`]),
    ...(inspector === undefined ? [] : [`  Inspector  http://127.0.0.1:${inspector.port}`]),
  ]
  return `Signalbox is running\n\n${lines.join('\n')}\n\nEdits apply on save. Ctrl-C stops.\n`
}

/** An address that can be opened, for one that means every interface. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}
