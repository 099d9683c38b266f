import fc from 'fast-check'
import { expect, test } from 'vitest'
import { eventFrame, messageFrame, pongFrame, textFrame, utf8Bytes } from '../../src/realtime/frame.ts'

interface ReceivedFrame {
  readonly firstByte: number
  readonly payload: Buffer
}

/** Reads frames as RFC 6455, section 5.2 lays them out; whatever is left over is an error. */
function framesOf(bytes: string): ReceivedFrame[] {
  const buffer = Buffer.from(bytes, 'latin1')
  const frames: ReceivedFrame[] = []
  let at = 0
  while (at < buffer.length) {
    const firstByte = buffer.readUInt8(at)
    const short = buffer.readUInt8(at + 1)
    const [start, length] =
      short === 127
        ? [at + 10, Number(buffer.readBigUInt64BE(at + 2))]
        : short === 126
          ? [at + 4, buffer.readUInt16BE(at + 2)]
          : [at + 2, short]
    const shortest = length <= 125 ? 2 : length <= 65_535 ? 4 : 10
    if (start - at !== shortest || start + length > buffer.length) throw new Error(`a bad length at byte ${at}`)
    frames.push({ firstByte, payload: buffer.subarray(start, start + length) })
    at = start + length
  }
  return frames
}

/** The texts of final text frames; throws where they are not UTF-8. */
function receive(bytes: string): string[] {
  return framesOf(bytes).map(({ firstByte, payload }) => {
    if (firstByte !== 0x81) throw new Error(`not a final text frame: ${firstByte}`)
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload)
  })
}

const jsonOf = (value: unknown): string => utf8Bytes(JSON.stringify(value))
/** Any UTF-16 code units, lone surrogates among them. */
const anyText = fc.uint16Array().map(units => String.fromCharCode(...units))
const anyName = fc.oneof(fc.string(), anyText)
const channelName = fc.stringMatching(/^[A-Za-z0-9_\-=@,.;]{1,200}$/)

test('whatever is broadcast, the client parses the same event, channel and data', () => {
  fc.assert(
    fc.property(anyName, channelName, fc.oneof(fc.jsonValue(), anyText, fc.dictionary(anyText, anyText)), (event, channel, data) => {
      const [text] = receive(eventFrame(jsonOf(event), jsonOf(channel), jsonOf(JSON.stringify(data))))
      const message = JSON.parse(text ?? '')
      expect(message).toEqual({ event, channel, data: JSON.stringify(data) })
      expect(JSON.parse(message.data)).toEqual(JSON.parse(JSON.stringify(data)))
    }),
  )
})

test('lone surrogates arrive as JSON escapes, never as broken UTF-8', () => {
  const data = { high: '\ud83d', low: '\ude80', pair: '\ud83d\ude80' }
  const [text] = receive(eventFrame(jsonOf('\udc00'), '"c"', jsonOf(JSON.stringify(data))))
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
  const payload = Buffer.from(Array.from({ length: 125 }, (_, index) => (index * 7) % 256))
  expect(framesOf(pongFrame(payload))).toEqual([{ firstByte: 0x8a, payload }])
})
