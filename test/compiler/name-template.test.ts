import { createHash } from 'node:crypto'
import fc from 'fast-check'
import Handlebars from 'handlebars'
import { describe, expect, test } from 'vitest'
import { reportOn } from '../../src/compiler/document-report.ts'
import { compileName } from '../../src/compiler/name-template.ts'
import type { NamePlace } from '../../src/compiler/plan.ts'
import { type Scope, TemplateError } from '../../src/compiler/scope.ts'
import { openDocument } from '../../src/config/open-document.ts'
import type { SourceDocument } from '../../src/config/source-document.ts'
import type { Problem } from '../../src/diagnostics/problem.ts'
import { scopeOf } from './scopes.ts'

function documentOf(text: string): SourceDocument {
  return openDocument({ file: 'routes/a.yaml', text: JSON.stringify(text), env: {}, severityOfUnset: () => undefined }).document
}

function name(text: string, place: NamePlace) {
  const problems: Problem[] = []
  const source = compileName({ report: reportOn(documentOf(text), problems), results: ['r'], item: true }, [], text, place)
  if (source === undefined) throw new Error(problems.map(problem => problem.message).join())
  return source
}

function render(text: string, scope: Partial<Scope>, place: NamePlace = 'channel'): string {
  return name(text, place).render(scopeOf(scope))
}

describe('a name', () => {
  test.each([
    ['fixed text', 'private-admin.orders', 'private-admin.orders'],
    ['one value', '{{data.user}}', 'u1'],
    ['text, value', 'user.{{data.user}}', 'user.u1'],
    ['value, text', '{{data.user}}.orders', 'u1.orders'],
    ['text, value, text', 'user.{{data.user}}.orders', 'user.u1.orders'],
    ['many parts', '{{topic}}.{{data.user}}-{{data.n}}.{{data.deep.er.x}}', 'orders.u1-7.z'],
    ['a number', 'n{{data.n}}', 'n7'],
    ['a boolean', 'b{{data.yes}}', 'btrue'],
    ['a list element', '{{data.items.1.sku}}', 'b'],
    ['a list element at the end', '{{data.list.1}}-{{lower data.list.0}}-{{data.list.[1]}}', 'D-c-D'],
    ['an odd key', '{{data.[odd key]}}', 'odd'],
    ['a dot in a value', 'user.{{data.dotted}}', 'user.a.b'],
    ['three braces are as good as two', '{{{data.user}}}', 'u1'],
    ['a comment', 'user.{{! who }}{{data.user}}', 'user.u1'],
    ['helpers', '{{lower data.Name}}-{{upper data.user}}-{{slug data.title}}', 'ada-U1-uber-dem-fluss'],
    ['helpers in helpers', '{{lower (default data.nick data.Name)}}', 'ada'],
    ['default literal', '{{default data.nick "anonymous"}}', 'anonymous'],
    ['default for null', '{{default data.nothing 0}}', '0'],
    ['hash', '{{hash data.user}}', createHash('sha256').update('u1').digest('hex')],
    ['date of epoch ms', '{{date timestamp "yyyy-MM-dd"}}', '2030-01-01'],
    ['date of ISO text', '{{date data.at "yyyy.MM.dd\'T\'HH-mm-ss-SSS"}}', '2029.12.31T22-05-06-070'],
  ])('%s', (_, template, expected) => {
    const data = {
      user: 'u1',
      n: 7,
      yes: true,
      deep: { er: { x: 'z' } },
      items: [{ sku: 'a' }, { sku: 'b' }],
      list: ['C', 'D'],
      'odd key': 'odd',
      dotted: 'a.b',
      Name: 'Ada',
      title: ' Über  dem Fluß!',
      nothing: null,
      at: '2030-01-01T00:05:06.07+02:00',
    }
    expect(render(template, { data })).toBe(expected)
  })

  test.each([
    [{}, 'data.id is missing'],
    [{ id: null }, 'data.id is null'],
    [{ id: '' }, 'data.id is an empty text'],
    [{ id: {} }, 'data.id is an object'],
    [{ id: [1] }, 'data.id is a list'],
    [{ id: Number.NaN }, 'data.id is not a finite number'],
    [{ id: Number.POSITIVE_INFINITY }, 'data.id is not a finite number'],
    [{ id: 'a,b' }, "data.id has ',' which a channel name does not allow"],
    [{ id: 'a;b' }, "data.id has ';' which a channel name does not allow"],
    [{ id: '#a' }, "data.id has '#' which a channel name does not allow"],
    [{ id: 'a b' }, 'data.id has a space which a channel name does not allow'],
    [{ id: 'a\nb' }, 'data.id has U+000A which a channel name does not allow'],
    [{ id: 'é' }, "data.id has 'é' which a channel name does not allow"],
    [{ id: '\ud800' }, 'data.id has U+D800 which a channel name does not allow'],
    [{ id: 1e21 }, "data.id has '+' which a channel name does not allow"],
    [{ id: 'x'.repeat(196) }, 'a channel name has at most 200 characters, this one has 201'],
    ['text', 'data.id is missing'],
    [Object.create({ id: 'inherited' }), 'data.id is missing'],
    [null, 'data.id is missing'],
  ])('never comes out with a hole or a smuggled character: %j', (data, message) => {
    const attempt = () => render('user.{{data.id}}', { data })
    expect(attempt).toThrow(TemplateError)
    expect(attempt).toThrow(message)
    expect(message.length).toBeLessThan(100)
  })

  test('a template error is permanent and carries the template', () => {
    try {
      render('user.{{data.id}}', {})
      expect.unreachable()
    } catch (error) {
      expect(error).toMatchObject({ permanent: true, template: 'user.{{data.id}}' })
    }
  })

  test.each([['__proto__'], ['constructor'], ['toString'], ['hasOwnProperty']])('data.%s is missing unless the data brings it', key => {
    expect(() => render(`{{data.${key}}}`, { data: {} })).toThrow(`data.${key} is missing`)
    expect(() => render(`{{data.${key}.name}}`, { data: {} })).toThrow(`data.${key}.name is missing`)
    expect(render(`{{data.${key}}}`, { data: JSON.parse(`{"${key}":"own"}`) })).toBe('own')
  })

  test.each<[NamePlace, string, string | RegExp]>([
    ['topic', 'a.b-c_D9', 'a.b-c_D9'],
    ['topic', 'a/b', /has '\/' which a topic name does not allow/],
    ['topic', '..', /`\.\.` is not a topic name/],
    ['topic', 'x'.repeat(250), /at most 249/],
    ['event', 'App\\Events\\Größe 7', 'App\\Events\\Größe 7'],
    ['event', 'a\u0007', /has U\+0007 which an event name does not allow/],
    ['event', 'a\u0085', /has U\+0085 which an event name does not allow/],
    ['key', 'any\n\u0000\ud83d\ude00 thing', 'any\n\u0000\ud83d\ude00 thing'],
    ['header', 'a\tb', 'a\tb'],
    ['header', 'a\r\nX: 1', /has U\+000D which a header does not allow/],
    ['id', 'urn:x:1', 'urn:x:1'],
    ['id', 'a\u0000', /has U\+0000 which an id does not allow/],
  ])('a %s takes what its place allows: %j', (place, value, expected) => {
    const attempt = () => render('{{data.v}}', { data: { v: value } }, place)
    if (typeof expected === 'string') expect(attempt()).toBe(expected)
    else expect(attempt).toThrow(expected)
  })

  test.each<[NamePlace, string, string]>([
    ['channel', 'user {{data.id}}', 'A channel name does not allow a space'],
    ['channel', '#server-to-user-1', "A channel name does not allow '#'"],
    ['channel', '', 'A channel name may not be empty'],
    ['channel', 'x'.repeat(201), 'A channel name has at most 200 characters, this one has 201'],
    ['topic', 'a,{{data.id}}', "A topic name does not allow ','"],
    ['topic', '..', '`..` is not a topic name'],
    ['event', '', 'An event name may not be empty'],
  ])('fixed text of a %s is checked when it is loaded: %j', (place, text, message) => {
    expect(() => name(text, place)).toThrow(message)
  })

  test('the place in the fixed text is told', () => {
    const problems: Problem[] = []
    const text = 'user.{{data.id}}. x'
    compileName({ report: reportOn(documentOf(text), problems), results: [], item: false }, [], text, 'channel')
    expect(problems).toMatchObject([{ code: 'template-name', range: { start: { line: 1, column: 19 }, end: { line: 1, column: 20 } } }])
  })

  test('without a template it is a constant; a lone path can be read raw', () => {
    expect(name('a,b;c', 'channel').constant).toBe('a,b;c')
    expect(name('a{{data.x}}', 'channel').constant).toBeUndefined()
    expect(name('a{{data.x}}', 'channel').lonePath).toBeUndefined()
    expect(name('{{lower data.x}}', 'key').lonePath).toBeUndefined()
    expect(name('{{data.x}}', 'key').lonePath?.(scopeOf({ data: { x: 7 } }))).toBe(7)
    expect(name('\\{{x}}', 'key').constant).toBe('{{x}}')
  })

  test('a number or text that looks like an index is none', () => {
    expect(render('{{default data.x 1.5}} {{default data.x "v1.0 x"}} {{default data.[a.0 b] -2.25}}', {}, 'key')).toBe('1.5 v1.0 x -2.25')
  })

  test('agrees with Handlebars wherever both say something', () => {
    const key = fc.constantFrom('a', 'b', 'c d', '0', 'x-y', 'ü')
    const leaf = fc.oneof(fc.string({ minLength: 1 }), fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }))
    const { node } = fc.letrec<{ node: unknown }>(tie => ({
      node: fc.oneof(
        { depthSize: 'medium', withCrossShrink: true },
        leaf,
        fc.dictionary(key, tie('node'), { noNullPrototype: true }),
        fc.array(tie('node'), { maxLength: 3 }),
      ),
    }))
    const path = fc
      .array(key, { minLength: 1, maxLength: 3 })
      .map(keys => ['data', ...keys].map(one => (one.includes(' ') ? `[${one}]` : one)).join('.'))
    const fixed = fc.string().filter(text => !/[{}\\]/.test(text))
    fc.assert(
      fc.property(fc.array(fc.tuple(fixed, path), { minLength: 1, maxLength: 4 }), fixed, node, (parts, end, data) => {
        // Without escaping, Handlebars adds up two numbers that a template begins with.
        const text = `-${parts.map(([before, one]) => `${before}{{${one}}}`).join('')}${end}`
        let ours: string
        try {
          ours = render(text, { data }, 'key')
        } catch (error) {
          expect(error).toBeInstanceOf(TemplateError)
          return
        }
        // Handlebars itself wants an index at the end of a path in brackets.
        expect(ours).toBe(Handlebars.compile(text.replaceAll('.0}}', '.[0]}}'), { noEscape: true })({ data }))
      }),
      {
        numRuns: 500,
        examples: [
          [
            [
              ['', 'data.[c d]'],
              ['', 'data.0'],
            ],
            '',
            { 0: 0, 'c d': 0 },
          ],
        ],
      },
    )
  })
})
