import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { makeProject } from '../support/project.ts'
import { router } from './router-command.ts'

const shells = ['bash', 'zsh', 'fish'] as const

type Shell = (typeof shells)[number]

/** A line typed so far, and what Tab makes of it where there is one way to go on. */
const lines: readonly (readonly [string, string, string])[] = [
  ['a command', 'router va', 'router validate'],
  ['a value of a flag', 'router validate --format s', 'router validate --format sarif'],
  ['a flag', 'router validate --deny', 'router validate --deny-warnings'],
  ['an argument with a list of values', 'router completion f', 'router completion fish'],
  ['a command behind a command', 'router dlq rep', 'router dlq replay'],
  ['its flags', 'router dlq replay --dry', 'router dlq replay --dry-run'],
  ['a command after a flag with a value', 'router --project somewhere backt', 'router --project somewhere backtest'],
  ['the code of a problem', 'router help when-nu', 'router help when-number'],
  ['a file', 'router explain ev', 'router explain event.json'],
]

for (const shell of shells) {
  const isInstalled = spawnSync(shell, ['-c', 'true']).status === 0
  test.skipIf(!isInstalled)(`${shell} goes on where there is one way${isInstalled ? '' : ` (${shell} is not installed)`}`, async () => {
    const { root } = await completing(shell)
    expect(lines.map(([what, line]) => [what, line, press(shell, root, line)])).toEqual(lines)
  })
}

/** A folder with the script, as `script`, and a file to complete. */
async function completing(shell: Shell): Promise<{ readonly root: string }> {
  const { stdout } = await router(['completion', shell])
  return makeProject({ script: stdout, 'event.json': '{}', 'other.json': '{}' })
}

const programs: Readonly<Record<Shell, string>> = {
  // What bash does with the words of a line when Tab is pressed.
  bash: `source ./script
    read -ra COMP_WORDS <<< "$1"; COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _router_complete
    COMP_WORDS[COMP_CWORD]="\${COMPREPLY[*]}"; echo "\${COMP_WORDS[*]}"`,
  // A terminal of its own: Tab, then Ctrl-T, which writes down what the line has become.
  zsh: `zmodload zsh/zpty
    zpty shell 'zsh -f -i'
    zpty -w shell "source ./script; finish() { print -r -- \\"\\$BUFFER\\" > line; exit }; zle -N finish; bindkey '^T' finish; print READY"
    zpty -r shell seen '*READY*READY*'
    zpty -w -n shell "$1"$'\\t\\x14'
    while zpty -r shell seen; do :; done
    cat line`,
  fish: `source ./script
    set words (string split ' ' -- $argv[1])
    set words[-1] (complete -C $argv[1] | string replace -r '\\t.*' '')
    echo $words`,
}

/** What the line becomes when Tab is pressed at its end. */
function press(shell: Shell, root: string, line: string): string {
  const flags = { bash: ['--norc'], zsh: ['-f'], fish: ['--no-config'] }[shell]
  const args = [...flags, '-c', programs[shell], ...(shell === 'fish' ? [line] : [shell, line])]
  const env = { ...process.env, HOME: root, TERM: 'dumb' }
  const { stdout, stderr, status } = spawnSync(shell, args, { cwd: root, env, encoding: 'utf8', timeout: 60_000 })
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
  return stdout.trim()
}

test('bash offers all flags of a command, with those of every command', async () => {
  const { root } = await completing('bash')
  expect(press('bash', root, 'router validate --')).toBe('router validate --format --deny-warnings --live --project')
})

test('bash loads the script by itself', async () => {
  const { root } = await completing('bash')
  const { status, stdout } = spawnSync('bash', ['--norc', '-c', 'source ./script; complete -p router'], { cwd: root, encoding: 'utf8' })
  expect({ status, stdout }).toEqual({ status: 0, stdout: 'complete -o filenames -F _router_complete router\n' })
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
