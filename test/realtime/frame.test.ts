import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Receiver } from 'ws'
import { eventFrame, messageFrame, pongFrame, textFrame, utf8Bytes } from '../../src/realtime/frame.ts'

/** What a client's WebSocket layer makes of the bytes; it throws on malformed frames and invalid UTF-8. */
function receive(bytes: string): string[] {
  const texts: string[] = []
  const receiver = new Receiver({ isServer: false })
  receiver.on('message', (data: Buffer) => texts.push(data.toString('utf8')))
  receiver.on('error', error => {
    throw error
  })
  receiver.write(Buffer.from(bytes, 'latin1'))
  return texts
}

const jsonOf = (value: unknown): string => utf8Bytes(JSON.stringify(value))
const anyName = fc.string({ unit: 'binary' })
const channelName = fc.stringMatching(/^[A-Za-z0-9_\-=@,.;]{1,200}$/)

test('whatever is broadcast, the client parses the same event, channel and data', () => {
  fc.assert(
    fc.property(anyName, channelName, fc.jsonValue({ stringUnit: 'binary' }), (event, channel, data) => {
      const [text] = receive(eventFrame(jsonOf(event), channel, jsonOf(JSON.stringify(data))))
      const message = JSON.parse(text ?? '')
      expect(message).toEqual({ event, channel, data: JSON.stringify(data) })
      expect(JSON.parse(message.data)).toEqual(JSON.parse(JSON.stringify(data)))
    }),
  )
})

test('lone surrogates arrive as JSON escapes, never as broken UTF-8', () => {
  const data = { high: '\ud83d', low: '\ude80', pair: '\ud83d\ude80' }
  const [text] = receive(eventFrame(jsonOf('\udc00'), 'c', jsonOf(JSON.stringify(data))))
  const message = JSON.parse(text ?? '')
  expect(message.event).toBe('\udc00')
  expect(JSON.parse(message.data)).toEqual(data)
})

test.each([0, 1, 125, 126, 127, 128, 255, 256, 65_535, 65_536, 70_000, 300_000])(
  'a payload of %i bytes has the right length encoding',
  length => {
    expect(receive(textFrame('x'.repeat(length)) + textFrame('next'))).toEqual(['x'.repeat(length), 'next'])
  },
)

test.each([41, 42, 21_845, 21_846])('a payload of %i three-byte characters is counted in bytes', count => {
  expect(receive(textFrame(utf8Bytes('€'.repeat(count))) + textFrame('next'))).toEqual(['€'.repeat(count), 'next'])
})

test('messages of the protocol survive names a client made up', () => {
  fc.assert(
    fc.property(anyName, channel => {
      const [text] = receive(messageFrame({ event: 'pusher:subscription_error', channel, data: { error: channel } }))
      expect(JSON.parse(text ?? '')).toEqual({ event: 'pusher:subscription_error', channel, data: { error: channel } })
    }),
  )
})

test('a pong carries the bytes of its ping', () => {
  const receiver = new Receiver({ isServer: false })
  const payload = Buffer.from(Array.from({ length: 125 }, (_, index) => (index * 7) % 256))
  let answer: Buffer | undefined
  receiver.on('pong', (data: Buffer) => {
    answer = data
  })
  receiver.write(Buffer.from(pongFrame(payload), 'latin1'))
  expect(answer).toEqual(payload)
})
