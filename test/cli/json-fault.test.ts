import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { findJsonFault, showJsonFault } from '../../src/cli/json-fault.ts'

describe('the place where a text stops being JSON', () => {
  test.each([
    ['', 0, 'a value'],
    ['{"a": }', 6, 'a value'],
    ['{"a": 1,}', 8, 'a key in double quotes'],
    ['{a: 1}', 1, 'a key in double quotes'],
    ["{'a': 1}", 1, 'a key in double quotes'],
    ['{"a": \'x\'}', 6, 'double quotes'],
    ['{"a" 1}', 5, '":"'],
    ['{"a": 1 "b": 2}', 8, '"," or "}"'],
    ['[1, 2', 5, '"," or "]"'],
    ['[1, 2\n', 5, '"," or "]"'],
    ['[1,]', 3, 'a value'],
    ['[1}', 2, '"," or "]"'],
    ['01', 1, 'the end'],
    ['1.', 1, 'the end'],
    ['+1', 0, 'a value'],
    ['nul', 0, 'a value'],
    ['{} {}', 3, 'the end'],
    ['"abc', 0, 'a string that ends, without line breaks and unknown escapes'],
    ['["a\nb"]', 1, 'a string that ends, without line breaks and unknown escapes'],
    ['paid', 0, 'a value'],
  ])('%j: offset %i, expected %s', (text, offset, expected) => {
    expect(() => JSON.parse(text)).toThrow()
    expect(findJsonFault(text)).toEqual({ offset, expected })
  })

  test('what follows a whole value is the fault', () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom('#', '}', ',', 'x', '"'), (json, junk) => {
        expect(findJsonFault(`${json} ${junk}`)).toEqual({ offset: json.length + 1, expected: 'the end' })
      }),
    )
  })

  test('a list or map that was cut off is faulty at its end', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue(), { minLength: 1 }), list => {
        const cut = JSON.stringify(list).slice(0, -1)
        expect(findJsonFault(cut)).toEqual({ offset: cut.trimEnd().length, expected: '"," or "]"' })
      }),
    )
  })

  test('any text at all gets an answer inside the text', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('{', '}', '[', ']', ',', ':', '"', '\\', '1', '-', 'e', 'true', ' ', '\n', 'ä') }),
        text => {
          const { offset } = findJsonFault(text)
          expect(offset).toBeGreaterThanOrEqual(0)
          expect(offset).toBeLessThanOrEqual(text.length)
        },
      ),
    )
  })

  test('a text nested deeper than any stack is answered too', () => {
    expect(findJsonFault('['.repeat(200_000)).offset).toBe(200_000)
  })
})

test('a fault is shown with its line, its column and a mark under it', () => {
  const text = '{\n  "a": 1\n  "b": 2\n}'
  expect(showJsonFault(text, findJsonFault(text))).toEqual({ line: 3, column: 3, frame: '  "b": 2\n  ^' })
})

test('of a long line the part around the fault is shown', () => {
  const text = `{"a": "${'x'.repeat(500)}", }`
  const { column, frame } = showJsonFault(text, findJsonFault(text))
  expect(column).toBe(511)
  const [line = '', mark = ''] = frame.split('\n')
  expect(line.length).toBeLessThan(120)
  expect(line[mark.length - 1]).toBe('}')
})
