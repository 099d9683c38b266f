/** One command, or the program itself under the name ''. */
export interface CompletedCommand {
  readonly name: string
  readonly summary: string
  /** Of its first argument, where there is a list of them. */
  readonly values: readonly string[]
  readonly options: readonly CompletedOption[]
  /** What stands behind it, as in `router dlq list`; empty for most. */
  readonly commands: readonly CompletedCommand[]
}

export interface CompletedOption {
  /** `--format`. */
  readonly flag: string
  readonly description: string
  readonly takesValue: boolean
  /** Empty where any value goes: files are offered then. */
  readonly choices: readonly string[]
}

export const shells = ['bash', 'zsh', 'fish'] as const

export type Shell = (typeof shells)[number]

/** What a shell has to run to complete the command `router`. */
export function completionScript(shell: Shell, commands: readonly CompletedCommand[], global: readonly CompletedOption[]): string {
  switch (shell) {
    case 'bash':
      return bashScript(commands, global)
    case 'zsh':
      // zsh runs completions written for bash (https://zsh.sourceforge.io/Doc/Release/Completion-System.html, bashcompinit).
      return `autoload -Uz compinit bashcompinit\n(( $+functions[compdef] )) || compinit\nbashcompinit\n${bashScript(commands, global)}`
    case 'fish':
      return fishScript(commands, global)
  }
}

function bashScript(commands: readonly CompletedCommand[], global: readonly CompletedOption[]): string {
  const names = commands.map(({ name }) => name).join(' ')
  const groups = commands.filter(command => command.commands.length > 0)
  const all = [...commands, ...groups.flatMap(group => group.commands.map(inner => ({ ...inner, name: `${group.name} ${inner.name}` })))]
  const flagsOf = (options: readonly CompletedOption[]) => [...options, ...global].map(({ flag }) => flag).join(' ')
  const words = all.map(
    ({ name, options, ...rest }) => `    "${name}") flags="${flagsOf(options)}"; values="${argumentsOf(rest).join(' ')}" ;;`,
  )
  const choices = all.flatMap(({ name, options }) =>
    [...options, ...global].flatMap(option =>
      option.takesValue ? [`    "${name}:${option.flag}") COMPREPLY=($(compgen ${generated(option)} -- "$current")); return ;;`] : [],
    ),
  )
  return `_router_complete() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" command="" flags="" values="" index
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "\${COMP_WORDS[index]}" in
      --project) ((index++)) ;;
      -*) ;;
      *)
        command="\${command:+$command }\${COMP_WORDS[index]}"
        case "$command" in ${groups.map(({ name }) => name).join('|')}) ;; *) break ;; esac ;;
    esac
  done
  case "$command:$previous" in
${global.flatMap(option => (option.takesValue ? [`    :${option.flag}) COMPREPLY=($(compgen ${generated(option)} -- "$current")); return ;;`] : [])).join('\n')}
${choices.join('\n')}
  esac
  case "$command" in
    "") flags="${flagsOf([])}"; values="${names}" ;;
${words.join('\n')}
  esac
  if [[ "$current" == -* ]]; then COMPREPLY=($(compgen -W "$flags" -- "$current"))
  elif [[ -n "$values" ]]; then COMPREPLY=($(compgen -W "$values" -- "$current"))
  else COMPREPLY=($(compgen -f -- "$current"))
  fi
}
complete -o filenames -F _router_complete router
`
}

/** Words that may stand behind a command. */
function argumentsOf({ values, commands }: Pick<CompletedCommand, 'values' | 'commands'>): readonly string[] {
  return commands.length === 0 ? values : commands.map(({ name }) => name)
}

function generated({ flag, choices }: CompletedOption): string {
  if (choices.length > 0) return `-W "${choices.join(' ')}"`
  return flag === '--project' ? '-d' : '-f'
}

function fishScript(commands: readonly CompletedCommand[], global: readonly CompletedOption[]): string {
  const lines = [...fishCommands(commands, ''), ...global.map(option => fishOption(option, ''))]
  return `${lines.join('\n')}\n`
}

/** `behind`: the condition under which one of the commands may come. */
function fishCommands(commands: readonly CompletedCommand[], behind: string): readonly string[] {
  const names = commands.map(({ name }) => name).join(' ')
  return commands.flatMap(({ name, summary, values, options, commands: inner }) => {
    const isHere = `${behind}__fish_seen_subcommand_from ${name}`
    return [
      `complete -c router -f -n "${behind}not __fish_seen_subcommand_from ${names}" -a ${name} -d ${quoted(summary)}`,
      ...(values.length === 0 ? [] : [`complete -c router -f -n "${isHere}" -a ${quoted(values.join(' '))}`]),
      ...options.map(option => fishOption(option, `-n "${isHere}"`)),
      ...fishCommands(inner, `${isHere}; and `),
    ]
  })
}

function fishOption({ flag, description, takesValue, choices }: CompletedOption, here: string): string {
  const value = choices.length > 0 ? ` -x -a ${quoted(choices.join(' '))}` : takesValue ? ' -r' : ''
  return `complete -c router ${here} -l ${flag.replace(/^--/, '')}${value} -d ${quoted(description)}`.replace('  ', ' ')
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
