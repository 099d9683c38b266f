import { dirname, join } from 'node:path'
import { compile } from 'json-schema-to-typescript'
import type { RoutingPlan } from '../compiler/plan.ts'

/** What a handler module would write by hand: types of events, as the JSON Schemas of the routes have them. */
export interface EventTypesOptions {
  readonly root: string
  readonly plan: RoutingPlan
  /** Parsed JSON Schemas by path relative to the root. */
  readonly schemas: ReadonlyMap<string, unknown>
}

const banner = '// Written by `router types` from the JSON Schemas that routes name. Do not edit: run it again.\n'

/** TypeScript source: one type for each schema that a route names, and `EventTypes`, which finds them by the event's name. */
export async function eventTypes({ root, plan, schemas }: EventTypesOptions): Promise<string> {
  const files = new Map<string, Set<string>>()
  for (const { routes } of plan.subscriptions)
    for (const { schema, events } of routes) {
      if (schema === undefined) continue
      const names = files.get(schema.file) ?? new Set()
      for (const event of events) if (!event.includes('*')) names.add(event)
      files.set(schema.file, names)
    }
  const taken = new Set<string>()
  const declared = new Map<string, string>()
  const parts: string[] = []
  const events: string[] = []
  for (const [file, names] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const name = uniqueName(typeName(file), taken)
    parts.push(withoutRepeats(await typeOf(root, file, name, schemas.get(file)), declared))
    for (const event of [...names].sort()) events.push(`  ${quoted(event)}: ${name}\n`)
  }
  return `${banner}\n${parts.join('\n')}\n/** Types of \`data\` by the event's name. */\nexport interface EventTypes {\n${events.join('')}}\n`
}

async function typeOf(root: string, file: string, name: string, schema: unknown): Promise<string> {
  if (typeof schema !== 'object' || schema === null) return `/** ${file} */\nexport type ${name} = unknown\n`
  // The title would name the type; two schemas may have the same one.
  return compile({ ...schema, title: name, $id: undefined }, name, {
    cwd: dirname(join(root, file)),
    bannerComment: `/** ${file} */`,
    style: { semi: false, singleQuote: true, printWidth: 120 },
    // A field that the schema does not declare is most likely misspelt.
    additionalProperties: false,
    $refOptions: { resolve: { http: false } },
  })
}

/** What several schemas refer to is declared once; another thing of the same name gets a number. */
function withoutRepeats(source: string, declared: Map<string, string>): string {
  let text = source
  for (const [block, , name = ''] of source.matchAll(/^export (interface|type) (\w+)[\s\S]*?(?=^export |$(?![\s\S]))/gm)) {
    const body = block.trim()
    const known = declared.get(name)
    if (known === body) text = text.replace(block, '')
    else if (known !== undefined) {
      let number = 2
      while (declared.has(`${name}${number}`)) number++
      text = text.replaceAll(new RegExp(`\\b${name}\\b`, 'g'), `${name}${number}`)
      declared.set(`${name}${number}`, body)
    } else declared.set(name, body)
  }
  return text
}

/** `schemas/events/order-created.json` is `OrderCreated`. */
function typeName(file: string): string {
  const words = (file.split('/').at(-1) ?? file)
    .replace(/\.json$/, '')
    .split(/[^A-Za-z0-9]+/)
    .filter(word => word !== '')
  const name = words.map(word => word.charAt(0).toUpperCase() + word.slice(1)).join('')
  return /^[A-Za-z]/.test(name) ? name : `Event${name}`
}

function uniqueName(wanted: string, taken: Set<string>): string {
  let name = wanted
  for (let number = 2; taken.has(name); number++) name = `${wanted}${number}`
  taken.add(name)
  return name
}

function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, character => `\\${character}`)}'`
}
