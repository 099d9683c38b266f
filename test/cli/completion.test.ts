import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { makeProject } from '../support/project.ts'
import { router } from './router-command.ts'

/** What bash itself offers for the last word. */
async function offered(words: readonly string[], files: Readonly<Record<string, string>> = {}): Promise<readonly string[]> {
  const { stdout: script } = await router(['completion', 'bash'])
  const { root } = await makeProject(files)
  const line = words.map(word => `'${word}'`).join(' ')
  const run = `${script}\nCOMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _router_complete; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout, stderr, status } = spawnSync('bash', ['--norc', '-c', run], { cwd: root, encoding: 'utf8' })
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
  return stdout.split('\n').filter(word => word !== '')
}

describe('completion in bash', () => {
  test.each<[string, readonly string[], readonly string[]]>([
    ['commands', ['router', 'va'], ['validate']],
    ['flags of a command, and those of all', ['router', 'validate', '--'], ['--format', '--deny-warnings', '--live', '--project']],
    ['values of a flag', ['router', 'validate', '--format', 's'], ['sarif']],
    ['arguments with a list of values', ['router', 'completion', 'f'], ['fish']],
    ['commands after a flag with a value', ['router', '--project', 'somewhere', 'backt'], ['backtest']],
  ])('offers %s', async (_, words, expected) => {
    expect(await offered(words)).toEqual(expected)
  })

  test('offers files where anything may stand', async () => {
    expect(await offered(['router', 'explain', 'ev'], { 'event.json': '{}', 'other.json': '{}' })).toEqual(['event.json'])
  })

  test('is what the shell loads by itself', async () => {
    const { stdout } = await router(['completion', 'bash'])
    const { status, stdout: listed } = spawnSync('bash', ['--norc', '-c', `${stdout}\ncomplete -p router`], { encoding: 'utf8' })
    expect({ status, listed }).toEqual({ status: 0, listed: 'complete -o filenames -F _router_complete router\n' })
  })
})

test('fish gets each command with its summary and each flag', async () => {
  const { stdout } = await router(['completion', 'fish'])
  expect(stdout).toMatch(/ -a validate -d 'find every problem in the configuration'$/m)
  expect(stdout).toMatch(/__fish_seen_subcommand_from validate" -l format -x -a 'pretty json github sarif'/)
})

test('another shell is refused with those there are', async () => {
  const { code, stderr } = await router(['completion', 'tcsh'])
  expect(code).toBe(2)
  expect(stderr).toContain('Allowed choices are bash, zsh, fish')
})
