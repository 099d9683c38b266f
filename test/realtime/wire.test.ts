import { expect, test } from 'vitest'
import { eventLine, headOf, type Line, readMessage } from '../../src/realtime/backplane/wire.ts'
import { jsonBytes } from '../../src/realtime/frame.ts'

function read(text: string): (Line | undefined)[] {
  const lines: (Line | undefined)[] = []
  readMessage(
    Buffer.from(text, 'latin1'),
    'here',
    () => true,
    line => lines.push(line),
  )
  return lines
}

test('an event comes through whole, also one of millions of quotes', () => {
  for (const text of ['', 'plain', 'größe "quoted" \\ \n\t €\u0000', '"'.repeat(4 * 2 ** 20), `${'"'.repeat(1_000)}x`]) {
    const [line, ...others] = read(
      headOf('there') + eventLine('news', { event: jsonBytes('made'), data: jsonBytes(text), text }, undefined),
    )
    expect(others).toEqual([])
    if (line?.kind !== 'event') throw new Error(`no event of ${text.length} characters`)
    expect(line.event.text === text).toBe(true)
  }
})

test.each([
  ['nothing', ''],
  ['one quote', '"'],
  ['no quotes', 'made'],
  ['a quote inside', '"a"b"'],
  ['an open end', '"a\\"'],
  ['an unknown escape', '"\\x"'],
  ['half an escape', '"\\u12"'],
  ['a control character', '"\u0001"'],
  ['a fault behind a thousand escapes', `"${'\\n'.repeat(1_000)}\\x"`],
])('%s is no JSON string, and its line is left out', (_what, data) => {
  expect(read(`${headOf('there')}e\t"news"\t\t\t"made"\t${data}\n`)).toEqual([undefined])
})
