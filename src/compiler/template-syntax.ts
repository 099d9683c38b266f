import Handlebars from 'handlebars'

/** A template as written, taken apart: only text, paths and helper calls are left. */
export interface ParsedTemplate {
  readonly text: string
  readonly parts: readonly TemplatePart[]
}

export type TemplatePart =
  | { readonly kind: 'text'; readonly text: string; readonly index: number }
  | { readonly kind: 'value'; readonly expression: WrittenExpression }

/** `index` and `text` tell where in the template the expression stands. */
export type WrittenExpression =
  | { readonly kind: 'path'; readonly parts: readonly string[]; readonly text: string; readonly index: number }
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null; readonly text: string; readonly index: number }
  | {
      readonly kind: 'call'
      readonly helper: string
      readonly args: readonly WrittenExpression[]
      readonly text: string
      readonly index: number
    }

/** What a template may not contain, at `index` characters into it. */
export class TemplateSyntaxError extends Error {
  override readonly name = 'TemplateSyntaxError'
  readonly index: number
  readonly length: number
  readonly hint: string
  constructor(message: string, hint: string, index: number, length: number) {
    super(message)
    this.hint = hint
    this.index = index
    this.length = length
  }
}

const maxDepth = 8
const plainHint = 'Use {{path}} or a helper: {{lower data.name}}, {{default data.nick "anonymous"}}'

/** True for text that has something to insert; everything else stands for itself. */
export function hasTemplate(text: string): boolean {
  return text.includes('{{')
}

/** Parses with Handlebars' own grammar and keeps only what routes may use. Throws TemplateSyntaxError. */
export function parseTemplate(text: string): ParsedTemplate {
  if (!hasTemplate(text)) return { text, parts: text === '' ? [] : [{ kind: 'text', text, index: 0 }] }
  if (isTooComplex(text)) throw new TemplateSyntaxError('The template is too complex', 'Prepare the value in a handler', 0, text.length)
  const source = new TemplateSource(text)
  const parts: TemplatePart[] = []
  for (const statement of parseStatements(source)) {
    if (isContent(statement)) {
      if (statement.value !== '') parts.push({ kind: 'text', text: statement.value, index: source.start(statement) })
    } else if (isMustache(statement)) {
      parts.push({ kind: 'value', expression: readMustache(source, statement) })
    } else if (statement.type !== 'CommentStatement') {
      throw source.refuse(statement, ...refusals(statement.type))
    }
  }
  return { text, parts }
}

/** Handlebars' parser takes minutes over thousands of nested parentheses or open blocks: those are refused unparsed. */
function isTooComplex(text: string): boolean {
  const blocks = text.match(/\{\{[#^>*]/g) ?? []
  return blocks.length > 100 || (text.match(/\{\{[^}]*/g) ?? []).some(mustache => mustache.split('(').length > 100)
}

function parseStatements(source: TemplateSource): readonly hbs.AST.Statement[] {
  try {
    // Without Handlebars' whitespace control, which would cut the line of a comment out of the text around it.
    return Handlebars.parseWithoutProcessing(source.parsable).body
  } catch {
    const { text } = source
    const index = firstUnparsable(text)
    const end = text.indexOf('}}', index)
    const length = end === -1 ? text.length - index : end + 2 - index
    const message =
      end === -1 ? 'The template opens with {{ and is never closed' : `The template ${clip(text.slice(index, end + 2))} cannot be parsed`
    throw new TemplateSyntaxError(message, end === -1 ? 'Close it with }}' : plainHint, index, length)
  }
}

/** Handlebars tells the place of an error only inside a drawing: look for the first mustache that does not parse on its own. */
function firstUnparsable(text: string): number {
  const starts = [...text.matchAll(/\{{2,}/g)].map(match => match.index)
  for (const [at, start] of starts.entries()) {
    try {
      Handlebars.parseWithoutProcessing(new TemplateSource(text.slice(start, starts[at + 1] ?? text.length)).parsable)
    } catch {
      return start
    }
  }
  return starts[0] ?? 0
}

function refusals(type: string): [string, string] {
  if (type === 'BlockStatement')
    return ['Block helpers such as {{#if}} are not part of the route language', 'Use `when:` to choose, or {{default path "text"}}']
  if (type.startsWith('Partial')) return ['Partials ({{> name}}) are not part of the route language', plainHint]
  if (type.startsWith('Decorator')) return ['Decorators ({{* name}}) are not part of the route language', plainHint]
  return ['This is not part of the route language', plainHint]
}

function readMustache(source: TemplateSource, statement: hbs.AST.MustacheStatement): WrittenExpression {
  if (statement.strip.open || statement.strip.close)
    throw source.refuse(statement, 'Whitespace control (~) is not part of the route language', 'Remove the ~')
  if (statement.params.length === 0 && statement.hash === undefined) {
    if (!isPath(statement.path))
      throw source.refuse(statement.path, 'A template inserts a path or what a helper makes', 'Write fixed text without {{ }}')
    return readPath(source, statement.path)
  }
  const inside = source.slice(statement).replace(/^\{+&?\s*|\s*\}+$/g, '')
  // Handlebars reads `data..id` and `data.` as a helper `data` called with `..`.
  if (/^[^\s()"']+$/.test(inside))
    throw source.refuse(
      statement,
      `${clip(inside)} is not a path`,
      'Join names with single dots: data.total, data.items.0.sku, data.[odd key]',
    )
  return readCall(source, statement.path, statement.params, statement.hash, inside, 1)
}

function readCall(
  source: TemplateSource,
  callee: hbs.AST.Node,
  params: readonly hbs.AST.Expression[],
  hash: hbs.AST.Hash | undefined,
  text: string,
  depth: number,
): WrittenExpression {
  if (depth > maxDepth) throw source.refuse(callee, `Helpers are nested more than ${maxDepth} deep`, 'Prepare the value in a handler')
  if (hash !== undefined) throw source.refuse(hash, 'Named arguments (name=value) are not part of the route language', plainHint)
  const [helper] = isPath(callee) && callee.parts.length === 1 && callee.depth === 0 && !callee.data ? callee.parts : []
  if (helper === undefined) throw source.refuse(callee, `${clip(source.slice(callee))} is not a helper`, plainHint)
  const args = params.map(param => readArgument(source, param, depth))
  return { kind: 'call', helper, args, text, index: source.start(callee) }
}

function readArgument(source: TemplateSource, node: hbs.AST.Expression, depth: number): WrittenExpression {
  if (isPath(node)) return readPath(source, node)
  if (isSubExpression(node))
    return readCall(source, node.path, node.params, node.hash, source.slice(node).replace(/^\(\s*|\s*\)$/g, ''), depth + 1)
  const place = { text: source.slice(node), index: source.start(node) }
  if (node.type === 'NullLiteral') return { kind: 'literal', value: null, ...place }
  if (isScalarLiteral(node)) return { kind: 'literal', value: node.value, ...place }
  throw source.refuse(node, `${clip(place.text)} cannot be a helper's argument`, 'Give a path, a text in quotes, a number, true or false')
}

function readPath(source: TemplateSource, path: hbs.AST.PathExpression): WrittenExpression {
  const text = source.slice(path)
  if (path.depth > 0 || path.data || path.parts.length === 0 || /^(?:this\b|\.)/.test(text))
    throw source.refuse(
      path,
      `${clip(text)} cannot be used here: there is no surrounding context`,
      'Start the path with a root such as data, key, headers',
    )
  return { kind: 'path', parts: path.parts, text, index: source.start(path) }
}

/** Everything in a mustache that may hold `.0` without being a path, and a last index of a path: `data.items.0`. */
const lastIndexes = /"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\[[^\]]*\]|(?<=[\s(])-?\d+\.\d+(?=[\s)}])|\.(\d+)(?=[\s)}])/g

/** A template's text, its form that Handlebars can parse, and the way back from Handlebars' lines and columns to indexes. */
class TemplateSource {
  readonly text: string
  /** Handlebars takes an index at the end of a path for a number, unless it stands in brackets. */
  readonly parsable: string
  /** Indexes of the brackets that `parsable` has and `text` has not. */
  readonly #added: readonly number[]
  readonly #lineStarts: readonly number[]

  constructor(text: string) {
    const added: number[] = []
    this.text = text
    this.parsable = text.replace(/\{\{[^{}]*\}\}/g, (mustache, start: number) =>
      mustache.replace(lastIndexes, (token, index: string | undefined, offset: number) => {
        if (index === undefined) return token
        const open = start + offset + 1 + added.length
        added.push(open, open + 1 + index.length)
        return `.[${index}]`
      }),
    )
    this.#added = added
    this.#lineStarts = [0, ...[...this.parsable.matchAll(/\r\n?|\n/g)].map(match => match.index + match[0].length)]
  }

  start(node: hbs.AST.Node): number {
    return this.#index(node.loc.start)
  }

  slice(node: hbs.AST.Node): string {
    return this.text.slice(this.start(node), this.#index(node.loc.end))
  }

  refuse(node: hbs.AST.Node, message: string, hint: string): TemplateSyntaxError {
    return new TemplateSyntaxError(message, hint, this.start(node), Math.max(1, this.slice(node).length))
  }

  #index(position: hbs.AST.Position): number {
    const index = (this.#lineStarts[position.line - 1] ?? 0) + position.column
    return index - this.#added.filter(bracket => bracket < index).length
  }
}

function clip(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

function isContent(node: hbs.AST.Node): node is hbs.AST.ContentStatement {
  return node.type === 'ContentStatement'
}

function isMustache(node: hbs.AST.Node): node is hbs.AST.MustacheStatement {
  return node.type === 'MustacheStatement'
}

function isPath(node: hbs.AST.Node): node is hbs.AST.PathExpression {
  return node.type === 'PathExpression'
}

function isSubExpression(node: hbs.AST.Node): node is hbs.AST.SubExpression {
  return node.type === 'SubExpression'
}

function isScalarLiteral(node: hbs.AST.Node): node is hbs.AST.StringLiteral | hbs.AST.NumberLiteral | hbs.AST.BooleanLiteral {
  return node.type === 'StringLiteral' || node.type === 'NumberLiteral' || node.type === 'BooleanLiteral'
}
