import type { YamlFault } from './yaml-node.ts'

/** What the YAML library says, in words for people who write configuration. */
const plainReasons: readonly (readonly [RegExp, string, string?])[] = [
  [
    /tab characters|bad indentation of a sequence entry/,
    'The indentation does not fit what stands above',
    'Indent with spaces, the same number for all keys of a map',
  ],
  [
    /^bad indentation of a mapping entry/,
    'This does not fit the line or the indentation above',
    'Check the indentation, or quote a text that holds `: `',
  ],
  [/multiline key|expected ':'|incomplete mapping/, 'This line is no `key: value`', 'Write a colon and a space after the key'],
  [/double quoted scalar/, 'A double quote is not closed', 'Close the text with `"`'],
  [/single quoted scalar/, 'A single quote is not closed', "Close the text with `'`"],
  [
    /within a flow collection|missed comma|expected the node content/,
    'A list or map in brackets is not well-formed',
    'Check commas and the closing bracket; quote texts that hold brackets',
  ],
  [
    /unknown escape|hexadecimal character/,
    'A text in double quotes holds an escape that YAML does not know',
    'Write `\\\\` for a backslash, or use single quotes',
  ],
  [/end of the stream or a document separator/, 'This does not belong to what stands above', 'A file holds one map: check the indentation'],
  [/whitespace character is expected after the key-value separator/, 'A space is missing after the colon'],
  [/non-printable|valid JSON character/, 'The file holds a control character', 'Remove it, or write it as an escape in double quotes'],
  [/deficient indentation/, 'The continued text or bracket is not indented enough', 'Indent it deeper than its key'],
  [/directive|%YAML|%TAG|tag /, 'This YAML directive or tag is not supported', 'Remove it'],
]

/** Turns the library's syntax error into a fault at the place that a person has to change. */
export function syntaxFault(text: string, reason: string, position: number): YamlFault {
  const deep = /maxDepth \((\d+)\)/.exec(reason)
  if (deep !== null) {
    return {
      code: 'yaml-syntax',
      message: `Maps and lists are nested more than ${deep[1]} deep`,
      start: position,
      end: position + 1,
      hint: 'Flatten the file',
    }
  }
  const lines = linesAround(text, position)
  for (const line of lines) {
    const template = findUnquotedTemplate(line.text, /flow collection/.test(reason) && line === lines[0])
    if (template !== undefined) return { ...unquotedTemplateFault(text, line.start + template), skippable: true }
  }
  const reference = unquotedReference.exec(lines[0]?.text ?? '')
  if (reference?.[1] !== undefined && lines[0] !== undefined) {
    const start = lines[0].start + reference.index
    const hint = `Quote it: "${reference[1]}"`
    return {
      code: 'yaml-syntax',
      message: `\`${reference[1]}\` stands without quotes inside brackets`,
      start,
      end: start + reference[1].length,
      hint,
    }
  }
  const quoteAt = /deficient indentation/.test(reason) && lines[1] !== undefined ? danglingQuote(lines[1].text) : undefined
  if (quoteAt !== undefined && lines[1] !== undefined) {
    const start = lines[1].start + quoteAt
    const quote = text.charAt(start)
    return {
      code: 'yaml-syntax',
      message: `A ${quote === '"' ? 'double' : 'single'} quote is not closed`,
      start,
      end: start + 1,
      hint: `Close the text with \`${quote}\``,
    }
  }
  const tab = lines.find(line => /^ *\t\s*\S/.test(line.text))
  if (tab !== undefined) return tabFault(tab)
  const trap = bareStar.exec(lines[0]?.text ?? '')
  if (trap?.[1] !== undefined && lines[0] !== undefined) {
    const start = lines[0].start + trap.index + trap[1].length
    return { ...unknownAliasFault('', start, start + 1, false), skippable: true }
  }
  return plainFault(text, reason, position)
}

function plainFault(text: string, reason: string, position: number): YamlFault {
  const reserved = /^[@`%]/.exec(text.slice(position).trimStart())
  const quote = /end of the (?:stream|document) within a (single|double) quoted/.exec(reason)?.[1]
  const [start, end] = quote === undefined ? visibleSpan(text, position) : openQuote(text, position, quote === 'double')
  if (reserved !== null) {
    return { code: 'yaml-syntax', message: `A text cannot start with \`${reserved[0]}\` in YAML`, start, end, hint: 'Quote it' }
  }
  const plain = plainReasons.find(([pattern]) => pattern.test(reason))
  const message = plain?.[1] ?? `The YAML is not valid: ${reason}`
  return { code: 'yaml-syntax', message, start, end, ...(plain?.[2] === undefined ? {} : { hint: plain[2] }) }
}

/** Texts in quotes, a comment, or an opening `{{`. */
const templateOrQuoted = /'[^']*'|"(?:[^"\\]|\\.)*"|(?<=\s|^)#.*|\{\{/g

/**
 * Where `{{` stands so that YAML reads brackets: at the start of a value, or anywhere inside other brackets. Behind other text, as in
 * `user.{{data.id}}`, it is plain text.
 */
function findUnquotedTemplate(line: string, insideBrackets: boolean): number | undefined {
  for (const match of line.matchAll(templateOrQuoted)) {
    if (match[0] !== '{{') continue
    const before = line.slice(0, match.index)
    if (insideBrackets || /(?:^|[:-]\s|[,[{])\s*$/.test(before) || /(?:^|[:-]\s|[,[{])\s*[[{]/.test(before)) return match.index
  }
  return undefined
}

/** Inside brackets YAML takes the `{` of an environment reference for a map. */
const unquotedReference = /(?<=[:,[{]\s*)([^\s"'{},[\]]*\$\{[^}]*\})/

const bareStar = /^(.*?(?:^|[:\-[,]\s+))\*(?=\s|$|[,\]])/

function tabFault(line: Line): YamlFault {
  const tab = line.text.indexOf('\t')
  return {
    code: 'yaml-tab',
    message: 'A tab is used for indentation',
    start: line.start + tab,
    end: line.start + tab + 1,
    hint: 'Indent with spaces: YAML allows no tabs there',
  }
}

/** The template that starts at or after `start`, with the text around it that belongs to the same value. */
export function unquotedTemplateFault(text: string, start: number): YamlFault {
  const lineEnd = endOfLine(text, start)
  const rest = text.slice(start, Math.min(lineEnd, start + 300))
  const written = /^\{\{.*?\}\}(?:[^\s,\]}#]|\{\{.*?\}\})*/.exec(rest)?.[0] ?? rest.trimEnd()
  const before = /[^\s,[{:-][^\s,[{]*$/.exec(text.slice(Math.max(startOfLine(text, start), start - 300), start))?.[0] ?? ''
  const value = before + written
  const shown = value.length > 80 ? `${value.slice(0, 79)}…` : value
  return {
    code: 'yaml-unquoted-template',
    message: `\`${shown}\` stands without quotes, so YAML reads a map`,
    start: start - before.length,
    end: start + written.length,
    hint: `Quote it: "${shown.replaceAll('"', "'")}"`,
  }
}

export function unknownAliasFault(name: string, start: number, end: number, recursive: boolean): YamlFault {
  if (recursive) {
    return {
      code: 'yaml-alias',
      message: `The alias \`*${name}\` stands inside its own anchor`,
      start,
      end,
      hint: 'A value cannot hold itself',
    }
  }
  return {
    code: 'yaml-alias',
    message:
      name === '' ? 'YAML reads `*` as an alias' : `YAML reads \`*${name}\` as an alias, and there is no anchor \`&${name}\` before it`,
    start,
    end,
    hint: `Quote it if you mean a pattern: "*${name}"`,
  }
}

export function documentFault(text: string): YamlFault {
  const separators = [...text.matchAll(/^---(?=\s|$)/gm)]
  const firstContent = /^(?!---|%|#|\s*$)/m.exec(text)?.index ?? 0
  const second = separators.find(separator => separator.index > firstContent) ?? separators[1] ?? separators[0]
  const start = second?.index ?? 0
  return {
    code: 'yaml-documents',
    message: 'The file holds more than one YAML document',
    start,
    end: start + 3,
    hint: 'Write one file for each: one file is one subscription',
  }
}

/** The quote that is not closed: the last one before the end that is no escape. */
function openQuote(text: string, position: number, double: boolean): readonly [number, number] {
  let at = position
  for (;;) {
    at = text.lastIndexOf(double ? '"' : "'", at - 1)
    if (at <= 0) return [Math.max(0, at), at + 1]
    const escaped = double ? (/\\+$/.exec(text.slice(Math.max(0, at - 50), at))?.[0].length ?? 0) % 2 === 1 : text[at - 1] === "'"
    if (!escaped) return [at, at + 1]
    if (!double) at -= 1
  }
}

/** The quote that opens a text and is not closed on its line. */
function danglingQuote(line: string): number | undefined {
  const withoutClosed = line.replace(/'[^']*'|"(?:[^"\\]|\\.)*"/g, closed => ' '.repeat(closed.length))
  const open = /(?<=^|[\s[{,])["']/.exec(withoutClosed)
  return open?.index
}

interface Line {
  readonly text: string
  readonly start: number
}

/** The line of the position, then the one before: an error often shows only at the next token. */
function linesAround(text: string, position: number): readonly Line[] {
  const at = Math.min(position, text.length)
  const start = startOfLine(text, at)
  const lines: Line[] = [lineFrom(text, start)]
  if (start > 0) lines.push(lineFrom(text, startOfLine(text, start - 1)))
  return lines
}

/** Clipped: nothing that a person typed goes wrong only behind column 2,000. */
function lineFrom(text: string, start: number): Line {
  return { text: text.slice(start, Math.min(endOfLine(text, start), start + 2_000)), start }
}

function startOfLine(text: string, position: number): number {
  return text.lastIndexOf('\n', position - 1) + 1
}

function endOfLine(text: string, position: number): number {
  const end = /\r?\n|$/g
  end.lastIndex = position
  return end.exec(text)?.index ?? text.length
}

/** The word at the position, or the last one before it where the position is at a line's end. */
function visibleSpan(text: string, position: number): readonly [number, number] {
  const at = Math.min(position, text.length)
  const word = /\S+/y
  word.lastIndex = at
  if (word.test(text)) return [at, word.lastIndex]
  const next = /[ \t]+(\S+)/y
  next.lastIndex = at
  const found = next.exec(text)
  if (found?.[1] !== undefined) return [next.lastIndex - found[1].length, next.lastIndex]
  const before = text.slice(0, at).trimEnd().length
  return [Math.max(0, before - 1), Math.max(1, before)]
}
