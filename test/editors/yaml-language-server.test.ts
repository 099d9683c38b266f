import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { LanguageServer } from './language-server.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const file = join(root, 'routes/in-an-editor.yaml')
const head = '# yaml-language-server: $schema=../schemas/routes.schema.json\ntopics: [orders]\n'

/** Opens a document that is nowhere on disk; `|` is where the cursor stands. */
async function ask(marked: string, method: 'textDocument/completion' | 'textDocument/hover'): Promise<unknown> {
  const text = marked.replace('|', '')
  const before = marked.slice(0, marked.indexOf('|')).split('\n')
  const server = await LanguageServer.start(root)
  await server.open(file, text, true)
  const position = { line: before.length - 1, character: before.at(-1)?.length ?? 0 }
  return server.request(method, { textDocument: { uri: pathToFileURL(file).href }, position })
}

describe('an editor with yaml-language-server', () => {
  test('offers the actions', async () => {
    const answer = await ask(`${head}routes:\n  created:\n    event: order.created\n    actions:\n      - |`, 'textDocument/completion')
    const labels = JSON.stringify(answer)
    for (const action of ['broadcast', 'invoke', 'emit']) expect(labels).toContain(`"label":"${action}"`)
  })

  test('explains a key under the pointer', async () => {
    const answer = await ask(`${head}orde|ring: key\nroutes: {}\n`, 'textDocument/hover')
    expect(JSON.stringify(answer)).toMatch(/one after the other.*`none`/s)
  })

  test('underlines a mistyped key, and nothing else', async () => {
    const server = await LanguageServer.start(root)
    const text = `${head}routes:\n  created:\n    event: order.created\n    actionss: []\n    actions: [{ broadcast: news }]\n`
    const diagnostics = await server.open(file, text)
    expect(diagnostics).toMatchObject([
      { message: expect.stringContaining('actionss'), range: { start: { line: 5, character: 4 }, end: { character: 12 } } },
    ])
  })
})
