import { type ChildProcess, spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { onTestFinished } from 'vitest'

const require = createRequire(import.meta.url)
const server = join(dirname(require.resolve('yaml-language-server/package.json')), 'bin/yaml-language-server')

interface Message {
  readonly id?: number
  readonly method?: string
  readonly params?: { readonly items?: readonly unknown[]; readonly uri?: string; readonly diagnostics?: readonly Diagnostic[] }
  readonly result?: unknown
}

export interface Diagnostic {
  readonly message: string
  readonly range: { readonly start: { readonly line: number; readonly character: number }; readonly end: { readonly character: number } }
}

/** The real yaml-language-server, spoken to as an editor does: LSP over stdio (https://microsoft.github.io/language-server-protocol). */
export class LanguageServer {
  readonly #child: ChildProcess
  readonly #answers = new Map<number, (result: unknown) => void>()
  readonly #listeners = new Map<string, (diagnostics: readonly Diagnostic[]) => void>()
  #buffer = Buffer.alloc(0)
  #lastId = 0

  private constructor() {
    const child = spawn(process.execPath, [server, '--stdio'], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child = child
    child.stdout?.on('data', (chunk: Buffer) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk])
      for (let message = this.#next(); message !== undefined; message = this.#next()) this.#receive(message)
    })
    onTestFinished(() => void child.kill())
  }

  static async start(root: string): Promise<LanguageServer> {
    const client = new LanguageServer()
    await client.request('initialize', {
      processId: process.pid,
      rootUri: pathToFileURL(root).href,
      capabilities: {
        workspace: { configuration: true },
        textDocument: { completion: { completionItem: { snippetSupport: true } }, hover: { contentFormat: ['markdown'] } },
      },
    })
    client.#send({ method: 'initialized', params: {} })
    return client
  }

  /** Resolves with what the server says of the document: the first answer that is not empty, or the first where `isClean`. */
  open(file: string, text: string, isClean = false): Promise<readonly Diagnostic[]> {
    const uri = pathToFileURL(file).href
    const diagnosed = new Promise<readonly Diagnostic[]>(resolve => {
      this.#listeners.set(uri, diagnostics => {
        if (isClean || diagnostics.length > 0) resolve(diagnostics)
      })
    })
    this.#send({ method: 'textDocument/didOpen', params: { textDocument: { uri, languageId: 'yaml', version: 1, text } } })
    return diagnosed
  }

  request(method: string, params: object): Promise<unknown> {
    const id = ++this.#lastId
    const answer = new Promise(resolve => this.#answers.set(id, resolve))
    this.#send({ id, method, params })
    return answer
  }

  #send(message: object): void {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message })
    this.#child.stdin?.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
  }

  #next(): Message | undefined {
    const end = this.#buffer.indexOf('\r\n\r\n')
    const length = Number(/Content-Length: (\d+)/i.exec(this.#buffer.subarray(0, Math.max(0, end)).toString())?.[1])
    if (end < 0 || this.#buffer.length < end + 4 + length) return undefined
    const message: Message = JSON.parse(this.#buffer.subarray(end + 4, end + 4 + length).toString())
    this.#buffer = this.#buffer.subarray(end + 4 + length)
    return message
  }

  #receive({ id, method, params, result }: Message): void {
    if (method === 'textDocument/publishDiagnostics') this.#listeners.get(params?.uri ?? '')?.(params?.diagnostics ?? [])
    else if (method === undefined && id !== undefined) this.#answers.get(id)?.(result)
    else if (id !== undefined)
      this.#send({ id, result: method === 'workspace/configuration' ? (params?.items ?? []).map(settingsFor) : null })
  }
}

/** As an editor has it by default, without asking the network for schemas. */
function settingsFor(item: unknown): object | null {
  const isYaml = typeof item === 'object' && item !== null && Reflect.get(item, 'section') === 'yaml'
  return isYaml ? { validate: true, hover: true, completion: true, schemaStore: { enable: false } } : null
}
