import { expect, test } from 'vitest'
import { interpolate } from '../../src/config/environment.ts'

const env = { HOST: 'db', PORT: '5432', EMPTY: '', DOLLAR: 'a${HOST}' }

test.each([
  ['${HOST}', 'db'],
  ['x-${HOST}:${PORT}-y', 'x-db:5432-y'],
  ['${NONE:-localhost:9092}', 'localhost:9092'],
  ['${EMPTY:-fallback}', 'fallback'],
  ['${EMPTY}', ''],
  ['${NONE:-}', ''],
  ['$${HOST}', '${HOST}'],
  ['$HOST ${HOST}', '$HOST db'],
  ['${DOLLAR}', 'a${HOST}'],
])('%s becomes %s', (text, expected) => {
  expect(interpolate(text, env)).toMatchObject({ kind: 'text', text: expected })
})

test('a text without references is left alone', () => {
  expect(interpolate('$HOST {HOST}', env)).toBeUndefined()
})

test('only one reference and nothing else is lone', () => {
  expect(interpolate('${PORT}', env)).toMatchObject({ lone: true })
  expect(interpolate('${PORT}0', env)).toMatchObject({ lone: false })
  expect(interpolate('${HOST}${PORT}', env)).toMatchObject({ lone: false })
  expect(interpolate('$${PORT}', env)).toMatchObject({ lone: false })
})

test('values of the environment are told apart from defaults, which stand in the file', () => {
  expect(interpolate('${HOST}-${NONE:-open}', env)).toMatchObject({ taken: ['db'] })
})

test('an unset variable is named with its place', () => {
  expect(interpolate('a ${NONE} b', env)).toEqual({ kind: 'unset', name: 'NONE', index: 2, length: 7 })
})

test.each(['${', '${HOST', '${}', '${1A}', '${A-b}', '${A:b}'])('%s is malformed', text => {
  expect(interpolate(text, env)).toMatchObject({ kind: 'malformed', index: 0 })
})
