import { expect, test } from 'vitest'
import { readDocument } from '../../src/config/read-document.ts'
import type { ValuePath } from '../../src/config/source-document.ts'

const text = `
topics: \${TOPIC}
concurrency: \${LANES}
defaults: wrong
routes:
  fine:
    event: order.created
    actions: [broadcast: news]
  unknown:
    evnt: order.created
    actions: [broadcast: news]
  missing:
    event: order.created
  template:
    actions:
      - broadcast: { channel: {{data.id}}, event: seen }
      - broadcast: { channel: news, event: seen }
`

const { document, problems } = readDocument({ file: 'a.yaml', text, schema: 'routes', env: { LANES: '8' }, mode: 'validate' })

test.each<[ValuePath, boolean]>([
  [['routes', 'fine'], true],
  [['routes', 'fine', 'actions', 0, 'broadcast'], true],
  [['routes'], false],
  [['topics'], false],
  [['concurrency'], true],
  [['defaults'], false],
  [['defaults', 'timeout'], false],
  [['routes', 'unknown'], false],
  [['routes', 'unknown', 'evnt'], false],
  [['routes', 'unknown', 'actions'], true],
  [['routes', 'missing', 'actions'], false],
  [['routes', 'missing', 'event'], true],
  [['routes', 'template', 'actions', 0, 'broadcast', 'channel'], false],
  [['routes', 'template', 'actions', 0, 'broadcast', 'event'], true],
  [['routes', 'template', 'actions', 1], true],
])('%j is sound: %s', (path, sound) => {
  expect(document?.isSound(path)).toBe(sound)
})

test('each mistake is one problem', () => {
  expect(problems.map(problem => problem.code)).toEqual([
    'env-unset',
    'schema-type',
    'schema-unknown-key',
    'schema-missing-key',
    'yaml-unquoted-template',
  ])
})

test('a lone reference takes the type its key asks for', () => {
  expect(Object(document?.value).concurrency).toBe(8)
})
