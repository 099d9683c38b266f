import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import type { Command } from 'commander'
import { CommandFailure } from '../failure.ts'
import { print } from '../output.ts'
import type { StarterFile } from '../starter-files.ts'

export function addInit(program: Command): void {
  program
    .command('init')
    .summary('write a small working project')
    .description('Writes router.yaml, a route, a test of it, a handler and schemas. Asks nothing and overwrites nothing.')
    .argument('[dir]', 'where to (default: here)')
    .addHelpText('after', '\nExample:\n  $ router init my-router && cd my-router && router dev\n')
    .action(async (dir: string | undefined) => {
      await init(dir ?? '.')
    })
}

async function init(dir: string): Promise<void> {
  const { starterFiles } = await import('../starter-files.ts')
  const root = resolve(dir)
  const files = starterFiles(projectName(root)).map(file => ({ ...file, state: stateOf(root, file) }))
  const taken = files.filter(({ state, optional }) => state === 'different' && optional !== true)
  if (taken.length > 0) {
    const list = taken.map(({ path }) => `  ${join(dir, path)}`).join('\n')
    throw new CommandFailure(
      1,
      `nothing was written, since these files exist already:\n${list}`,
      'choose another folder: router init my-router',
    )
  }
  for (const { path, content, state } of files) if (state === 'absent') write(root, path, content)
  const written = files.map(({ path, state }) => `  ${state === 'absent' ? 'wrote' : 'kept '}  ${join(dir, path)}`)
  // Whoever got here through npx may have no other way to the command.
  const command = process.env['npm_command'] === 'exec' ? 'npx router' : 'router'
  const enter = relative(process.cwd(), root) === '' ? '' : `  cd ${dir}\n`
  print(
    `${written.join('\n')}\n\nNext:\n${enter}  ${command} dev\nand in a second terminal:\n${enter}  ${command} publish orders order.created '{"order_id": 42, "user_id": 7, "total": 1200}'`,
  )
}

/** The folder's name as far as an app may have it. */
function projectName(root: string): string {
  const name = basename(root)
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
  return name === '' ? 'my-router' : name
}

function stateOf(root: string, { path, content }: StarterFile): 'absent' | 'same' | 'different' {
  try {
    return readFileSync(join(root, path), 'utf8') === content ? 'same' : 'different'
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 'absent'
    if (error instanceof Error && 'code' in error && error.code === 'EISDIR') return 'different'
    throw new CommandFailure(2, `${join(root, path)} cannot be read`, undefined, error)
  }
}

function write(root: string, path: string, content: string): void {
  const file = join(root, path)
  try {
    mkdirSync(dirname(file), { recursive: true })
    // `wx`: a file that came into being meanwhile is not overwritten either.
    writeFileSync(file, content, { flag: 'wx' })
  } catch (error) {
    throw new CommandFailure(2, `${file} cannot be written: ${error instanceof Error ? error.message : String(error)}`, undefined, error)
  }
}
