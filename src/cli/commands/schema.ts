import { Argument, type Command } from 'commander'
import { print } from '../output.ts'
import { readSchema, type SchemaName, schemaPath } from '../package-files.ts'

const schemas: Readonly<Record<SchemaName, string>> = {
  routes: 'routes/*.yaml',
  router: 'router.yaml',
  tests: '*.test.yaml',
}

export function addSchema(program: Command): void {
  program
    .command('schema')
    .summary('the JSON Schemas, for editors')
    .description('Prints the JSON Schema of route files, router.yaml or test files; without a name, lists them with the files they are in.')
    .addArgument(new Argument('[name]', 'which schema').choices(Object.keys(schemas)))
    .addHelpText('after', '\nExamples:\n  $ router schema\n  $ router schema routes > schemas/routes.schema.json\n')
    .action((name: SchemaName | undefined) => {
      print(name === undefined ? list() : readSchema(name))
    })
}

function list(): string {
  const names = ['routes', 'router', 'tests'] as const
  return names.map(name => `${name.padEnd(6)}  ${schemas[name].padEnd(13)}  ${schemaPath(name)}`).join('\n')
}
