import type { ActionSource, ActionType, DataSource, NameSource } from '../compiler/action-type.ts'
import type { Attempt, CompiledAction } from '../compiler/plan.ts'
import { type Scope, TemplateError } from '../compiler/scope.ts'
import { hostFault } from './address-rules.ts'
import { PermanentError } from './handler.ts'
import { signatureHeaders } from './http-signature.ts'
import { derivedId } from './outgoing-event.ts'
import type { HttpPort, HttpRequest } from './ports.ts'

/** `http`: calls an address. What it answers can be kept with `as`: `{ status, headers, body }`. */
export function httpAction(port: HttpPort): ActionType {
  return {
    key: 'http',
    compile(source) {
      const parts = readParts(source)
      return parts === undefined ? undefined : build(port, parts)
    },
  }
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

interface HttpParts {
  readonly url: NameSource
  readonly method: (typeof methods)[number]
  readonly headers: readonly (readonly [string, NameSource])[]
  readonly body: DataSource | undefined
  readonly secret: string | undefined
  readonly keepsAnswer: boolean
  readonly hide: (text: string) => string
}

function readParts(source: ActionSource): HttpParts | undefined {
  const { section, siblings } = source
  const isShort = typeof source.value === 'string'
  const path = isShort ? source.path : section.pathOf('url')
  const written = isShort ? siblings.text('http') : section.text('url')
  if (!isShort && !section.has('url') && section.report.document.isSound(source.path))
    source.report(source.path, 'schema-missing-key', 'An http action needs an address', 'Add url: https://api.example/orders')
  const url = written === undefined || !isCallable(source, written) ? undefined : source.name(path, written, 'url')
  const headers = readHeaders(source)
  const body = section.isReadable('body') ? source.data(section.pathOf('body'), section.value('body')) : undefined
  const method = section.oneOf('method', methods) ?? 'POST'
  if (section.has('body') && (method === 'GET' || method === 'HEAD')) {
    source.report(section.pathOf('body'), 'http-address', `A ${method} has no body`, 'Write method: POST, or move the values into the url')
    return undefined
  }
  const secret = section.text('sign')
  if (url === undefined || headers === undefined) return undefined
  if ((section.has('body') && body === undefined) || (section.has('sign') && secret === undefined)) return undefined
  return { url, method, headers, body, secret, keepsAnswer: siblings.has('as'), hide: source.hide }
}

/** Scheme and host stand in the file: a message must not choose whom the router calls. Reports what is wrong. */
function isCallable(source: ActionSource, written: string): boolean {
  const path = typeof source.value === 'string' ? source.path : source.section.pathOf('url')
  const origin = /^https?:\/\/[^/?#\\\s{}]+(?=[/?#]|$)/i.exec(written)?.[0]
  const url = origin !== undefined && URL.canParse(origin) ? new URL(origin) : undefined
  if (url === undefined || url.username !== '' || url.password !== '') {
    const message = `\`${source.hide(written)}\` is not an address that can be called`
    source.report(
      path,
      'http-address',
      message,
      'Write http:// or https:// and the host without templates: https://api.example/orders/{{data.id}}',
    )
    return false
  }
  const fault = hostFault(url.hostname, source.http)
  if (fault !== undefined) source.report(path, 'http-address', `This may not be called: ${fault.message}`, fault.hint)
  return fault === undefined
}

/** They belong to the connection, or are made here. */
const reserved = /^(?:host|content-length|transfer-encoding|connection|keep-alive|upgrade|te|trailer|expect|proxy-.*|webhook-.*)$/

function readHeaders(source: ActionSource): readonly (readonly [string, NameSource])[] | undefined {
  const section = source.section.section('headers')
  const headers: (readonly [string, NameSource])[] = []
  for (const name of section.keys()) {
    const lower = name.toLowerCase()
    const text = section.text(name)
    if (text === undefined) continue
    // RFC 9110: a token.
    if (!/^[a-z0-9!#$%&'*+.^_`|~-]{1,200}$/.test(lower) || reserved.test(lower))
      source.report(section.pathOf(name), 'http-address', `\`${name}\` is not a header that can be set`, 'Leave it out')
    else {
      const value = source.name(section.pathOf(name), text, 'httpHeader')
      if (value !== undefined) headers.push([lower, value])
    }
  }
  return headers.length === section.keys().length ? headers : undefined
}

function build(port: HttpPort, parts: HttpParts): CompiledAction {
  const address = parts.hide(parts.url.text)
  return {
    kind: 'http',
    summary: `http ${parts.method} ${address}`,
    targets: [{ kind: 'address', name: address }],
    run(scope, attempt) {
      const { request } = outgoing(parts, scope, attempt)
      const { secret } = parts
      const signature = secret === undefined ? {} : signatureHeaders(secret, derivedId(attempt, 0), request.body, Date.now())
      return port.send({ ...request, headers: { ...request.headers, ...signature } }, attempt.signal)
    },
    render(scope, attempt) {
      const { request, data } = outgoing(parts, scope, attempt)
      const headers = Object.fromEntries(parts.headers.map(([name]) => [name, parts.hide(request.headers[name] ?? '')]))
      return [
        {
          action: 'http',
          method: parts.method,
          url: parts.hide(request.url),
          ...(parts.headers.length === 0 ? {} : { headers }),
          ...(request.body === undefined ? {} : { body: data ?? null }),
          ...(parts.secret === undefined ? {} : { signed: true }),
        },
      ]
    },
  }
}

function outgoing(parts: HttpParts, scope: Scope, attempt: Attempt): { readonly request: HttpRequest; readonly data: unknown } {
  const { method } = parts
  const url = renderUrl(parts.url, scope)
  const hasBody = parts.body !== undefined || method === 'POST' || method === 'PUT' || method === 'PATCH'
  const data =
    parts.body === undefined ? { id: scope.id ?? attempt.identity, event: scope.event, data: scope.data ?? null } : parts.body.render(scope)
  const body = hasBody ? encode(data) : undefined
  const headers: Record<string, string> = Object.create(null)
  headers['user-agent'] = 'signalbox'
  if (body !== undefined) headers['content-type'] = body.contentType
  if (method !== 'GET' && method !== 'HEAD') headers['idempotency-key'] = derivedId(attempt, 0)
  for (const [name, value] of parts.headers) headers[name] = value.render(scope)
  return { request: { method, url, headers, body: body?.bytes, keepsAnswer: parts.keepsAnswer }, data }
}

/** Values are percent-encoded; what would climb up the path is refused all the same. */
function renderUrl(url: NameSource, scope: Scope): string {
  const text = url.render(scope)
  const [path = ''] = text.split(/[?#]/, 1)
  if (url.constant === undefined && path.split('/').some(segment => segment === '.' || segment === '..'))
    throw new TemplateError('a value makes a step `.` or `..` of the path', url.text)
  return text
}

function encode(data: unknown): { readonly bytes: Buffer; readonly contentType: string } {
  if (data instanceof Uint8Array) return { bytes: Buffer.from(data), contentType: 'application/octet-stream' }
  if (typeof data === 'string') return { bytes: Buffer.from(data, 'utf8'), contentType: 'text/plain; charset=utf-8' }
  try {
    return { bytes: Buffer.from(JSON.stringify(data) ?? 'null', 'utf8'), contentType: 'application/json' }
  } catch (error) {
    throw new PermanentError(`the body cannot be written as JSON: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
}
