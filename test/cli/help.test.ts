import { describe, expect, test } from 'vitest'
import { hasColor } from '../../src/cli/output.ts'
import { router } from './router-command.ts'

const commands = [
  'init',
  'validate',
  'explain',
  'test',
  'diff',
  'backtest',
  'completion',
  'graph',
  'types',
  'dev',
  'run',
  'publish',
  'schema',
  'help',
]

describe('help', () => {
  test('names every command, on stdout, with exit code 0', async () => {
    const { code, stdout, stderr } = await router(['--help'])
    expect(code).toBe(0)
    expect(stderr).toBe('')
    for (const command of commands) expect(stdout).toMatch(new RegExp(`^  ${command}\\b`, 'm'))
  })

  test.each(commands)('of %s shows an example that starts with the command', async command => {
    const { code, stdout } = await router([command, '--help'])
    expect(code).toBe(0)
    expect(stdout).toContain(`$ router ${command}`)
    expect(stdout).toContain('--project <dir>')
  })

  test('the version is that of the package', async () => {
    const { code, stdout } = await router(['--version'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})

describe('what cannot be run exits with 2 and says why on stderr', () => {
  test.each([
    ['no command', [], 'Usage: router'],
    ['a mistyped command', ['validat'], 'Did you mean validate?'],
    ['a mistyped flag', ['validate', '--formt', 'json'], 'Did you mean --format?'],
    ['an unknown format', ['validate', '--format', 'xml'], 'Allowed choices are pretty, json, github, sarif'],
    ['a port that is no number', ['run', '--port', 'x'], 'Expected a whole number from 0 to 65535'],
    ['a port out of range', ['dev', '--port', '70000'], 'Expected a whole number from 0 to 65535'],
    ['a batch of nothing', ['run', '--batch-size', '0'], 'Expected a whole number from 1'],
    ['a negative limit', ['run', '--max-messages=-1'], 'Expected a whole number from 0'],
    ['too many arguments', ['run', 'something'], 'too many arguments'],
    ['an unknown schema', ['schema', 'events'], 'Allowed choices are routes, router, tests'],
    ['a project that does not exist', ['validate', '--project', '/nowhere/at/all'], 'there is no such folder'],
    ['samples that do not exist', ['dev', '--samples', '/nowhere.ts'], 'there is no such file'],
  ])('%s', async (_, args, message) => {
    const { code, stdout, stderr } = await router(args)
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain(message)
    expect(stderr).not.toContain('    at ')
  })
})

describe('schema', () => {
  test('lists both schemas with their files', async () => {
    const { code, stdout } = await router(['schema'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^routes {2}routes\/\*\.yaml {2}\/.*routes\.schema\.json$/m)
    expect(stdout).toMatch(/^router {2}router\.yaml .*\/router\.schema\.json$/m)
  })

  test.each(['routes', 'router', 'tests'])('%s is printed as JSON Schema 2020-12', async name => {
    const { code, stdout } = await router(['schema', name])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ $schema: 'https://json-schema.org/draft/2020-12/schema' })
  })
})

describe('colours', () => {
  test('are for terminals', () => {
    expect(hasColor({ isTTY: true }, {})).toBe(true)
    expect(hasColor({}, {})).toBe(false)
  })

  test('are off with NO_COLOR and on a dumb terminal', () => {
    expect(hasColor({ isTTY: true }, { NO_COLOR: '1' })).toBe(false)
    expect(hasColor({ isTTY: true }, { NO_COLOR: '' })).toBe(true)
    expect(hasColor({ isTTY: true }, { TERM: 'dumb' })).toBe(false)
  })
})
