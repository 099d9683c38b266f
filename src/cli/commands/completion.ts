import { Argument, type Command, type Option } from 'commander'
import { type CompletedCommand, type CompletedOption, completionScript, type Shell, shells } from '../completion-script.ts'
import { print } from '../output.ts'

export function addCompletion(program: Command): void {
  program
    .command('completion')
    .summary('completes commands and flags in a shell')
    .description('Prints what a shell has to run to complete the commands, flags and values of `router`.')
    .addArgument(new Argument('<shell>', 'which one').choices(shells))
    .addHelpText(
      'after',
      '\nExamples:\n  $ router completion bash >> ~/.bashrc\n  $ router completion zsh >> ~/.zshrc\n  $ router completion fish > ~/.config/fish/completions/router.fish\n',
    )
    .action(async (shell: Shell) => {
      const { allCodes } = await import('../../diagnostics/codes.ts')
      const commands = program.commands.map(completed)
      const topics = [...commands.map(({ name }) => name), 'codes', ...allCodes]
      const all = commands.map(command => (command.name === 'help' ? { ...command, values: topics } : command))
      print(completionScript(shell, all, program.options.filter(isOfAllCommands).map(completedOption)))
    })
}

function completed(command: Command): CompletedCommand {
  const [first] = command.registeredArguments
  return {
    name: command.name(),
    summary: command.summary(),
    values: first?.argChoices ?? [],
    options: command.options.filter(isLong).map(completedOption),
    commands: command.commands.map(completed),
  }
}

function isOfAllCommands(option: Option): boolean {
  return isLong(option) && option.long !== '--version'
}

function isLong({ long }: Option): boolean {
  return typeof long === 'string'
}

function completedOption({ long, description, required, optional, argChoices }: Option): CompletedOption {
  return { flag: long ?? '', description, takesValue: required || optional, choices: argChoices ?? [] }
}
