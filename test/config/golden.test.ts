import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { readDocument } from '../../src/config/read-document.ts'
import { formatPretty } from '../../src/diagnostics/format-pretty.ts'

const folder = new URL('./golden/', import.meta.url)
const inputs = readdirSync(folder).filter(name => name.endsWith('.yaml'))
const env = { SECRET: 'hunter2-hunter2' }

function read(name: string): ReturnType<typeof readDocument> & { readonly text: string } {
  const text = readFileSync(new URL(name, folder), 'utf8')
  return { text, ...readDocument({ file: name, text, schema: name.startsWith('router-') ? 'router' : 'routes', env, mode: 'run' }) }
}

test.each(inputs)('%s is reported as its .txt says', async name => {
  const { problems, text } = read(name)
  const printed = formatPretty(problems, new Map([[name, text]]), { color: false })
  await expect(printed).toMatchFileSnapshot(new URL(name.replace('.yaml', '.txt'), folder).pathname)
})

test('no value of the environment is printed', () => {
  const { problems, text } = read('env-value-hidden.yaml')
  expect(problems.length).toBeGreaterThan(0)
  expect(formatPretty(problems, new Map([['env-value-hidden.yaml', text]]), { color: false })).not.toContain(env.SECRET)
})

test('every code that one file can show has a golden file', () => {
  const shown = new Set(inputs.flatMap(name => read(name).problems.map(problem => problem.code)))
  expect([...shown].sort()).toEqual([
    'env-syntax',
    'env-unset',
    'file-empty',
    'schema-missing-key',
    'schema-type',
    'schema-unknown-key',
    'schema-unsupported',
    'schema-value',
    'when-number',
    'yaml-alias',
    'yaml-documents',
    'yaml-duplicate-key',
    'yaml-syntax',
    'yaml-tab',
    'yaml-unquoted-template',
  ])
})
