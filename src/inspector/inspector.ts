import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { RoutingPlan } from '../compiler/plan.ts'
import type { EngineObserver } from '../engine/observer.ts'
import { createRedactor } from '../observe/redact.ts'
import type { ReloadResult } from '../reload/reload-result.ts'
import { answerBrokerCall, brokerFault, type EmbeddedBroker } from './broker-api.ts'
import { ChannelWatch, type OccupiedChannel } from './channel-watch.ts'
import { describePlan } from './inspector-state.ts'
import { createLiveStreams, type LiveMessage, type LiveStreams } from './live-streams.ts'
import { messageDetail } from './message-detail.ts'
import { MessageLog, type MessageNews } from './message-log.ts'
import { pageFiles, renderPage } from './page-files.ts'
import { type PublishRequest, readPublishRequest } from './publish-request.ts'
import { type ReloadReport, reportReload } from './reload-report.ts'
import { checkBearer, checkSource, checkVisitor, RequestRefused, visitorCookie } from './request-guard.ts'

export interface InspectorOptions {
  /** Loopback only: whoever reaches the page can send events. */
  readonly host: '127.0.0.1'
  /** 0: any free one. */
  readonly port: number
  /** Lets a command in another terminal call `POST /api/publish`. */
  readonly token: string
  /** Everything asks for the token, the page too. Default: whoever reaches the port sees the page. */
  readonly isGuarded?: boolean | undefined
  /** What is at work. */
  current(): { readonly app: string; readonly generation: number; readonly plan: RoutingPlan }
  /** Channels with subscribers, at most `most`. */
  channels(most: number): readonly OccupiedChannel[]
  /** Where browsers of the first app connect on loopback: the page listens there as well. Undefined: it does not. */
  realtime?(): { readonly key: string; readonly port: number } | undefined
  /** Values that nothing that leaves here may show. */
  secrets(): readonly string[]
  /** Told of messages too: a terminal's lines. `hide` replaces secrets in a text. */
  onNews?: NewsListener | undefined
  /** Rejects with an error whose message may be shown. */
  publish(record: PublishRequest): Promise<void>
  /** For commands in another terminal; undefined where the router uses real brokers: they can be asked themselves. */
  readonly embedded?: EmbeddedBroker | undefined
  readonly log: InspectorLog
}

export type NewsListener = (news: MessageNews, hide: (text: string) => string) => void

export interface InspectorLog {
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface Inspector {
  /** What the engine tells of messages at work. */
  readonly observer: EngineObserver
  /** Rejects with InspectorError. */
  listen(): Promise<{ readonly port: number }>
  /** Tells open pages how a change on disk ended. */
  reloaded(result: ReloadResult): void
  close(): Promise<void>
}

export class InspectorError extends Error {
  override readonly name = 'InspectorError'
  readonly code: 'port-in-use' | 'cannot-listen'
  readonly hint: string
  constructor(code: 'port-in-use' | 'cannot-listen', message: string, hint: string, cause: unknown) {
    super(message, { cause })
    this.code = code
    this.hint = hint
  }
}

/** The server of the page that `router dev` shows. */
export function createInspector(options: InspectorOptions): Inspector {
  const redact = createRedactor(options.secrets)
  const streams = createLiveStreams(redact)
  const messages = new MessageLog({
    generation: () => options.current().generation,
    onNews: news => {
      streams.send({ event: 'messages', data: news })
      options.onNews?.(news, text => JSON.parse(redact(JSON.stringify(text))))
    },
  })
  const channels = new ChannelWatch({
    read: options.channels,
    isWatched: () => streams.size > 0,
    onChange: occupied => streams.send({ event: 'channels', data: occupied }),
  })
  const context: Context = {
    options,
    streams,
    messages,
    channels,
    redact,
    pageToken: randomBytes(24).toString('base64url'),
    session: randomBytes(24).toString('base64url'),
    start: randomBytes(6).toString('base64url'),
    lastReload: undefined,
  }
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 30_000, maxHeaderSize: 16_384 }, (request, response) => {
    void answer(context, request, response)
  })
  return {
    observer: messages,
    listen: () => listen(server, options),
    reloaded(result) {
      const report = reportReload(result, Date.now())
      if (report === undefined) return
      context.lastReload = report
      context.streams.send({ event: 'reload', data: report })
      context.streams.send(stateMessage(context))
    },
    async close() {
      messages.close()
      channels.close()
      context.streams.close()
      if (!server.listening) return
      await new Promise<void>(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

interface Context {
  readonly options: InspectorOptions
  readonly streams: LiveStreams
  readonly messages: MessageLog
  readonly channels: ChannelWatch
  readonly redact: (line: string) => string
  /** What the page itself shows when it publishes. */
  readonly pageToken: string
  /** Of visitors who have shown the token. */
  readonly session: string
  /** Names this start: a page of an earlier one sees that its token is no longer valid, and loads itself again. */
  readonly start: string
  lastReload: ReloadReport | undefined
}

function listen(server: Server, { host, port }: InspectorOptions): Promise<{ readonly port: number }> {
  return new Promise((resolve, reject) => {
    server.once('error', error => {
      const inUse = 'code' in error && error.code === 'EADDRINUSE'
      reject(
        inUse
          ? new InspectorError('port-in-use', `port ${port} is already in use`, 'choose another one with --inspector-port', error)
          : new InspectorError(
              'cannot-listen',
              `the inspector cannot listen on ${host}:${port}: ${error.message}`,
              'choose another port',
              error,
            ),
      )
    })
    server.listen(port, host, () => {
      const address = server.address()
      resolve({ port: typeof address === 'object' && address !== null ? address.port : port })
    })
  })
}

async function answer(context: Context, request: IncomingMessage, response: ServerResponse): Promise<void> {
  for (const [name, value] of securityHeaders(context.options)) response.setHeader(name, value)
  try {
    checkSource(request)
    if (context.options.isGuarded === true && !letIn(context, request, response)) return
    await route(context, request, response)
  } catch (error) {
    if (response.headersSent) {
      response.destroy()
      return
    }
    if (error instanceof RequestRefused) {
      // Whatever is left of the body is not read: the connection cannot be used again.
      response.setHeader('connection', 'close')
      sendJson(response, error.status, { error: error.message })
      return
    }
    context.options.log.error({ err: error }, 'the inspector could not answer a request')
    sendJson(response, 500, { error: 'something went wrong; the log says what' })
  }
}

/** False where the answer is given: a page that was opened with the token comes again without it, so that it stays in no history. */
function letIn({ options, session }: Context, request: IncomingMessage, response: ServerResponse): boolean {
  const cookie = visitorCookie(new URL(request.url ?? '/', 'http://inspector'), options.token, session)
  if (cookie === undefined) {
    checkVisitor(request, options.token, session)
    return true
  }
  response.writeHead(303, { location: '/', 'set-cookie': cookie })
  response.end()
  return false
}

async function route(context: Context, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://inspector')
  if (pathname === '/api/publish') {
    if (request.method !== 'POST') throw new RequestRefused(405, 'use POST')
    await publish(context, request, response)
    return
  }
  if (pathname === '/api/broker') {
    if (request.method !== 'POST') throw new RequestRefused(405, 'use POST')
    await callBroker(context, request, response)
    return
  }
  if (request.method !== 'GET') throw new RequestRefused(405, 'use GET')
  const file = pageFiles.get(pathname)
  if (file !== undefined) send(response, 200, file.contentType, await file.read())
  else if (pathname === '/') send(response, 200, 'text/html; charset=utf-8', await renderPage({ token: context.pageToken }))
  else if (pathname === '/api/state') sendRedacted(context, response, stateOf(context))
  else if (pathname === '/api/stream') context.streams.open(request, response, greeting(context))
  else if (pathname.startsWith('/api/messages/')) sendMessage(context, pathname.slice('/api/messages/'.length), response)
  else throw new RequestRefused(404, 'there is nothing here')
}

async function publish({ options, pageToken }: Context, request: IncomingMessage, response: ServerResponse): Promise<void> {
  checkBearer(request, [options.token, pageToken])
  const record = await readPublishRequest(request)
  try {
    await options.publish(record)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    options.log.warn({ topic: record.topic, error: message }, 'what was sent through the inspector could not be published')
    sendJson(response, 502, { error: message })
    return
  }
  sendJson(response, 200, {})
}

/** For the command's token alone: the page does not need it. */
async function callBroker({ options }: Context, request: IncomingMessage, response: ServerResponse): Promise<void> {
  checkBearer(request, [options.token])
  if (options.embedded === undefined) throw new RequestRefused(409, 'this router uses brokers that can be asked themselves')
  try {
    sendJson(response, 200, { answer: await answerBrokerCall(options.embedded, request) })
  } catch (error) {
    const fault = brokerFault(error)
    if (fault === undefined) throw error
    sendJson(response, 502, fault)
  }
}

/** Without a token, as the stream: both are for whoever may open the page. */
function sendMessage(context: Context, id: string, response: ServerResponse): void {
  const message = /^\d{1,15}$/.test(id) ? context.messages.find(Number(id)) : undefined
  if (message === undefined) throw new RequestRefused(404, 'the message is not kept any more')
  const { plan, generation } = context.options.current()
  sendRedacted(context, response, messageDetail(message, plan, generation))
}

function stateOf({ options, lastReload, start }: Context): object {
  const { app, generation, plan } = options.current()
  return { ...describePlan(app, generation, plan), realtime: options.realtime?.() ?? null, reload: lastReload ?? null, start }
}

function stateMessage(context: Context): LiveMessage {
  return { event: 'state', data: stateOf(context) }
}

/** Everything that a page needs which opens now. */
function greeting(context: Context): readonly LiveMessage[] {
  const { messages, channels } = context
  return [stateMessage(context), { event: 'messages', data: messages.all }, { event: 'channels', data: channels.now() }]
}

function sendRedacted({ redact }: Context, response: ServerResponse, body: object): void {
  send(response, 200, 'application/json; charset=utf-8', redact(JSON.stringify(body)))
}

function securityHeaders({ realtime }: InspectorOptions): readonly (readonly [string, string])[] {
  const port = realtime?.()?.port
  const servers = port === undefined ? '' : ['127.0.0.1', 'localhost'].map(host => ` ws://${host}:${port} http://${host}:${port}`).join('')
  return [
    [
      'content-security-policy',
      `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'${servers}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    ],
    ...fixedHeaders,
  ]
}

const fixedHeaders: readonly (readonly [string, string])[] = [
  ['x-content-type-options', 'nosniff'],
  ['referrer-policy', 'no-referrer'],
  ['cross-origin-resource-policy', 'same-origin'],
  ['cross-origin-opener-policy', 'same-origin'],
  ['cache-control', 'no-store'],
]

function sendJson(response: ServerResponse, status: number, body: object): void {
  send(response, status, 'application/json; charset=utf-8', Buffer.from(JSON.stringify(body)))
}

function send(response: ServerResponse, status: number, contentType: string, body: Buffer | string): void {
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body) })
  response.end(body)
}
