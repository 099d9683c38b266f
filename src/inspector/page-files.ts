import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'

export interface PageFile {
  readonly contentType: string
  /** Read from disk on every request: the page is small, and whoever works on it sees changes at once. */
  read(): Promise<Buffer>
}

const contentTypes = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml; charset=utf-8',
} as const

const pageFolder = new URL('./page/', import.meta.url)
const pageStyles = ['base', 'controls', 'panels']
const pageScripts = ['main', 'elements', 'channel-list', 'event-list', 'live-connection', 'publish-form', 'reload-panel', 'wiring-panel']

/** Everything that can be asked for by path, and nothing else: no path of a request ever reaches the file system. */
export const pageFiles: ReadonlyMap<string, PageFile> = new Map([
  ...pageStyles.map(name => [`/page/${name}.css`, fromPage(`${name}.css`, 'css')] as const),
  ['/page/icon.svg', fromPage('icon.svg', 'svg')],
  ...pageScripts.map(name => [`/page/${name}.js`, fromPage(`${name}.js`, 'js')] as const),
  ['/page/pusher.js', { contentType: contentTypes.js, read: () => readFile(pusherBundle()) }],
])

interface PageValues {
  readonly token: string
  readonly pusher: { readonly key: string; readonly port: number }
}

/** The page itself, with what its scripts need to know in `meta` elements: the policy for content allows no inline script. */
export async function renderPage({ token, pusher }: PageValues): Promise<string> {
  const values: Readonly<Record<string, string>> = { token, 'pusher-key': pusher.key, 'pusher-port': String(pusher.port) }
  const page = await readFile(new URL('index.html', pageFolder), 'utf8')
  return page.replaceAll(/%([a-z-]+)%/g, (placeholder, name: string) =>
    Object.hasOwn(values, name) ? escapeAttribute(values[name] ?? '') : placeholder,
  )
}

function fromPage(name: string, type: keyof typeof contentTypes): PageFile {
  return { contentType: contentTypes[type], read: () => readFile(new URL(name, pageFolder)) }
}

/** The browser build of pusher-js; the package has no `exports`, so its files can be named. */
function pusherBundle(): string {
  return createRequire(import.meta.url).resolve('pusher-js/dist/web/pusher.min.js')
}

function escapeAttribute(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')
}
