import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

export interface PageFile {
  readonly contentType: string
  /** Read from disk on every request: the page is small, and whoever works on it sees changes at once. */
  read(): Promise<Buffer | string>
}

const contentTypes = {
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml; charset=utf-8',
} as const

const pageFolder = new URL('./page/', import.meta.url)
const pageStyles = ['base', 'controls', 'stream', 'message', 'flow']
const pageScripts = [
  'main',
  'app',
  'channel-list',
  'explanation',
  'flow-chart',
  'flow-layout',
  'format',
  'help-dialog',
  'html',
  'live-listener',
  'live-panel',
  'message-panel',
  'reload-panel',
  'router-link',
  'send-form',
  'shortcuts',
  'store',
  'stream-list',
]

/** Packages that the page is made of, by the name that its scripts import. Browsers know no names of packages: they get paths. */
const libraries: Readonly<Record<string, string>> = {
  htm: '/page/htm.js',
  preact: '/page/preact.js',
  'preact/hooks': '/page/preact-hooks.js',
}

/** Everything that can be asked for by path, and nothing else: no path of a request ever reaches the file system. */
export const pageFiles: ReadonlyMap<string, PageFile> = new Map([
  ...pageStyles.map(name => [`/page/${name}.css`, fromPage(`${name}.css`, 'css')] as const),
  ['/page/icon.svg', fromPage('icon.svg', 'svg')],
  ...pageScripts.map(name => [`/page/${name}.js`, script(() => new URL(`${name}.js`, pageFolder))] as const),
  // The package has no `exports`, so its browser build can be named.
  [
    '/page/pusher.js',
    { contentType: contentTypes.js, read: () => readFile(createRequire(import.meta.url).resolve('pusher-js/dist/web/pusher.min.js')) },
  ],
  ...Object.entries(libraries).map(([name, path]) => [path, script(() => import.meta.resolve(name))] as const),
])

/** The page itself, with the token that its form sends in a `meta` element: the policy for content allows no inline script. */
export async function renderPage({ token }: { readonly token: string }): Promise<string> {
  const page = await readFile(new URL('index.html', pageFolder), 'utf8')
  return page.replaceAll('%token%', token)
}

function fromPage(name: string, type: keyof typeof contentTypes): PageFile {
  return { contentType: contentTypes[type], read: () => readFile(new URL(name, pageFolder)) }
}

function script(locate: () => string | URL): PageFile {
  return { contentType: contentTypes.js, read: async () => withPaths(await readFile(fileURLToPath(locate()), 'utf8')) }
}

function withPaths(text: string): string {
  return text.replaceAll(/\bfrom\s*(["'])([\w/]+)\1/g, (whole, quote: string, name: string) =>
    Object.hasOwn(libraries, name) ? `from${quote}${libraries[name]}${quote}` : whole,
  )
}
