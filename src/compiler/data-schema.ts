import { Ajv, type ErrorObject, type Options, type ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import type { DataSchema } from './plan.ts'
import { isMap } from './source-section.ts'

/** Compiles the JSON Schemas that routes name; files refer to each other by relative path or by `$id`. */
export interface SchemaCompiler {
  /** A sentence where the schema is missing or invalid. */
  compile(file: string): DataSchema | string
}

const base = 'project:///'
const draft07 = /^https?:\/\/json-schema\.org\/draft-07\/schema#?$/
const draft2020 = /^https?:\/\/json-schema\.org\/draft\/2020-12\/schema#?$/

export function schemaCompiler(files: ReadonlyMap<string, unknown>): SchemaCompiler {
  let ajv07: Ajv | undefined
  let ajv2020: Ajv2020 | undefined
  const compiled = new Map<string, DataSchema | string>()
  const compileFile = (file: string): DataSchema | string => {
    const schema = files.get(file)
    if (schema === undefined) return `The JSON Schema ${file} does not exist`
    if (!isMap(schema) && typeof schema !== 'boolean') return `The JSON Schema ${file} must be an object`
    const dialect = dialectOf(schema)
    if (dialect === undefined) return `The JSON Schema ${file} names a dialect that is not supported`
    if (dialect === 'draft-07') ajv07 ??= withFiles(new Ajv(options), files, dialect)
    else ajv2020 ??= withFiles(new Ajv2020(options), files, dialect)
    const ajv = dialect === 'draft-07' ? ajv07 : ajv2020
    try {
      if (ajv?.validateSchema(schema) === false) return `The JSON Schema ${file} is invalid: ${describe(ajv.errors?.[0], 'the schema')}`
      const validate = ajv?.getSchema(base + file) ?? ajv?.compile(schema)
      if (validate === undefined || '$async' in validate)
        return `The JSON Schema ${file} is asynchronous ($async), which routes cannot wait for`
      return { file, check: data => checkData(validate, data) }
    } catch (error) {
      return `The JSON Schema ${file} is invalid: ${reasonOf(error)}`
    }
  }
  return {
    compile(file) {
      const known = compiled.get(file)
      if (known !== undefined) return known
      const result = compileFile(file)
      compiled.set(file, result)
      return result
    },
  }
}

/** `strict` would refuse annotations that other tools put into shared schemas. */
const options: Options = { strict: false, allErrors: false, logger: false, verbose: false }

function withFiles<T extends Ajv | Ajv2020>(ajv: T, files: ReadonlyMap<string, unknown>, dialect: Dialect): T {
  formats.default(ajv)
  for (const [file, schema] of files) {
    if (!isMap(schema) || dialectOf(schema) !== dialect) continue
    try {
      ajv.addSchema(schema, base + file)
    } catch {
      // Reported where a route names the file, or where a $ref to it does not resolve.
    }
  }
  return ajv
}

type Dialect = 'draft-07' | '2020-12'

function dialectOf(schema: Readonly<Record<string, unknown>> | boolean): Dialect | undefined {
  const named = typeof schema === 'boolean' ? undefined : schema['$schema']
  if (named === undefined) return '2020-12'
  if (typeof named !== 'string') return undefined
  if (draft07.test(named)) return 'draft-07'
  return draft2020.test(named) ? '2020-12' : undefined
}

function checkData(validate: ValidateFunction, data: unknown): string | null {
  if (data instanceof Uint8Array) return 'data is binary'
  try {
    if (validate(data)) return null
  } catch (error) {
    // A recursive schema on data nested thousands deep.
    if (error instanceof RangeError) return 'data is nested too deep to be checked'
    throw error
  }
  return describe(validate.errors?.[0], 'data')
}

/** `data.items.0.sku must be string` */
function describe(error: ErrorObject | undefined, root: string): string {
  if (error === undefined) return `${root} is not valid`
  const path = error.instancePath.replaceAll('/', '.').replaceAll('~1', '/').replaceAll('~0', '~')
  const { additionalProperty, allowedValues } = error.params
  const detail =
    typeof additionalProperty === 'string'
      ? `: \`${clip(additionalProperty)}\``
      : Array.isArray(allowedValues)
        ? `: ${clip(allowedValues.map(String).join(', '))}`
        : ''
  return `${root}${clip(path)} ${error.message ?? 'is not valid'}${detail}`
}

/** Names in the data are a stranger's: they must not fill logs and headers. */
function clip(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message.replaceAll(base, '') : String(error)
}
