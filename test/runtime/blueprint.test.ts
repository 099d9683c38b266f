import { expect, test } from 'vitest'
import { draftBlueprint } from '../../src/runtime/blueprint.ts'
import { makeProject } from '../support/project.ts'

test('a problem that quotes a value from the environment does not show the value', async () => {
  const { root } = await makeProject({
    'router.yaml': 'name: shop\nbrokers:\n  local: { type: memory }\n',
    'routes/orders.yaml': 'topics: orders\nunmatched:\n  actions:\n    - emit: { topic: "${HIDDEN}", data: 1 }\n',
  })
  const { problems } = await draftBlueprint({ root, mode: 'run', env: { HIDDEN: 'pass word!' } })
  expect(problems.some(({ file }) => file === 'routes/orders.yaml')).toBe(true)
  expect(JSON.stringify(problems)).not.toContain('pass word!')
})

test('problems of all files come in the order a person reads them', async () => {
  const { root } = await makeProject({
    'routes/b.yaml': 'topics: b\nunmatched:\n  actions:\n    - broadcast: "a b"\n    - broadcast: "{{nothing}}"\n',
    'routes/a.yaml': 'topics: a\nrout: {}\nunmatched: ignore\n',
  })
  const { problems } = await draftBlueprint({ root, mode: 'validate', env: {} })
  expect(problems.map(({ file, code }) => `${file} ${code}`)).toEqual([
    'routes/a.yaml schema-unknown-key',
    'routes/b.yaml template-name',
    'routes/b.yaml template-root',
  ])
})
