import type { Command } from 'commander'
import { CommandFailure } from '../failure.ts'
import { print } from '../output.ts'

export function addHelp(program: Command): void {
  program
    .command('help')
    .summary('what a command does, or what a problem means')
    .description('Shows the help of a command, or of the code that a problem ends with: what it means, a wrong and a right example.')
    .argument('[name]', 'a command, a code such as template-root, or `codes` for the list of them')
    .addHelpText('after', '\nExamples:\n  $ router help template-root\n  $ router help codes\n')
    .action(async (name: string | undefined) => {
      const command = program.commands.find(candidate => candidate.name() === name)
      if (name === undefined) program.outputHelp()
      else if (command !== undefined) command.outputHelp()
      else print(await codeHelp(name))
    })
}

async function codeHelp(name: string): Promise<string> {
  const [{ describeCode, findCode, allCodes }, { helpFor }, { didYouMean }] = await Promise.all([
    import('../../diagnostics/codes.ts'),
    import('../../diagnostics/code-help.ts'),
    import('../../config/did-you-mean.ts'),
  ])
  if (name === 'codes') return allCodes.map(code => `${code.padEnd(24)}${describeCode(code)}`).join('\n')
  const code = findCode(name)
  if (code === undefined) {
    const near = didYouMean(name, allCodes)
    throw new CommandFailure(
      2,
      `\`${name}\` is neither a command nor a code`,
      near === undefined ? 'router help codes lists the codes' : `did you mean ${near}?`,
    )
  }
  const help = helpFor(code)
  const title = `${code}: ${describeCode(code)}\n`
  if ('note' in help) return `${title}\n${help.note}`
  // What is the same on both sides is context, and shown once.
  return `${title}\nWrong:\n\n${files(help.wrong)}\nRight:\n\n${files(changed(help.right, help.wrong))}`
}

function changed(right: Readonly<Record<string, string>>, wrong: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(right).filter(([file, text]) => wrong[file] !== text))
}

function files(project: Readonly<Record<string, string>>): string {
  return Object.entries(project)
    .map(([file, text]) => `  ${file}\n${text.replaceAll(/^(?=.)/gm, '    ')}`)
    .join('\n')
}
