import { expect, test } from 'vitest'
import { helpFor } from '../../src/diagnostics/code-help.ts'
import { allCodes } from '../../src/diagnostics/codes.ts'
import { formatPretty } from '../../src/diagnostics/format-pretty.ts'
import { validateProject } from '../../src/runtime/validate-project.ts'
import { makeProject } from '../support/project.ts'

const shown = allCodes.filter(code => 'wrong' in helpFor(code))

async function problemsOf(files: Readonly<Record<string, string>>) {
  const { root } = await makeProject(files)
  const { problems, project } = await validateProject({ root, env: {} })
  return { codes: problems.map(({ code }) => code), printed: formatPretty(problems, project.sources, { color: false }) }
}

test.each(shown)('%s: the wrong example gives this one problem, printed as its golden file, and the right one none', async code => {
  const help = helpFor(code)
  if (!('wrong' in help)) throw new Error('not shown')
  const wrong = await problemsOf(help.wrong)
  expect(wrong.codes).toEqual([code])
  await expect(wrong.printed).toMatchFileSnapshot(new URL(`./golden/${code}.txt`, import.meta.url).pathname)
  expect((await problemsOf(help.right)).printed).toBe('')
})

test('every code has an example, or says in words what no short file can show', () => {
  const silent = allCodes.filter(code => {
    const help = helpFor(code)
    return 'note' in help && help.note === ''
  })
  expect(silent).toEqual([])
  expect(allCodes.length - shown.length).toBeLessThanOrEqual(7)
})
