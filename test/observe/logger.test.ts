import { describe, expect, test } from 'vitest'
import { createLogger } from '../../src/observe/logger.ts'

function lines() {
  const written: string[] = []
  return { written, destination: { write: (line: string) => void written.push(line) } }
}

function parsed(line: string | undefined): Record<string, unknown> {
  return JSON.parse(line ?? '')
}

describe('JSON lines', () => {
  test('carry level, time, fields and message', () => {
    const { written, destination } = lines()
    createLogger({ level: 'info', pretty: false, redact: [], destination }).info({ topic: 'orders' }, 'joined')
    expect(written).toHaveLength(1)
    expect(parsed(written[0])).toEqual({ level: 30, time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/), topic: 'orders', msg: 'joined' })
  })

  test('below the level are not written', () => {
    const { written, destination } = lines()
    const log = createLogger({ level: 'warn', pretty: false, redact: [], destination })
    log.info('quiet')
    log.warn('loud')
    expect(written.map(line => parsed(line)['msg'])).toEqual(['loud'])
  })
})

describe('a secret', () => {
  const secret = 'p"ss\\wörd-1'

  test('is replaced in the message, in fields, in keys, in errors and in children', () => {
    const { written, destination } = lines()
    const log = createLogger({ level: 'info', pretty: false, redact: [secret], destination })
    log.info({ url: `redis://:${secret}@host`, deep: [{ [secret]: secret }] }, `connecting with ${secret}`)
    log.child({ auth: secret }).error({ err: new Error(`bad ${secret}`, { cause: new Error(secret) }) })
    const text = written.map(line => JSON.stringify(parsed(line))).join('\n')
    expect(text).not.toContain(JSON.stringify(secret).slice(1, -1))
    expect(parsed(written[0])).toMatchObject({
      url: 'redis://:[redacted]@host',
      deep: [{ '[redacted]': '[redacted]' }],
      msg: 'connecting with [redacted]',
    })
    expect(parsed(written[1])).toMatchObject({ auth: '[redacted]', err: { message: expect.stringContaining('bad [redacted]') } })
  })

  test('is replaced where a text holds JSON that holds it', () => {
    const { written, destination } = lines()
    createLogger({ level: 'info', pretty: false, redact: [secret], destination }).info(`answer: ${JSON.stringify({ secret })}`)
    expect(parsed(written[0])['msg']).toBe('answer: {"secret":"[redacted]"}')
  })

  test('is replaced where it is a number', () => {
    const { written, destination } = lines()
    createLogger({ level: 'info', pretty: false, redact: ['123456'], destination }).info({ pin: 123456, other: 12345 }, 'x')
    expect(parsed(written[0])).toMatchObject({ pin: '[redacted]', other: 12345 })
  })

  test('that contains another one is replaced as a whole', () => {
    const { written, destination } = lines()
    createLogger({ level: 'info', pretty: false, redact: ['hunter', 'hunter2000'], destination }).info('hunter2000 hunter')
    expect(parsed(written[0])['msg']).toBe('[redacted] [redacted]')
  })

  test('is replaced in pretty output', () => {
    const { written, destination } = lines()
    const log = createLogger({ level: 'info', pretty: true, color: false, redact: [secret], destination })
    log.info({ token: secret }, `with ${secret}`)
    expect(written.join('')).toMatch(/INFO.*with \[redacted\] \{"token":"\[redacted\]"\}\n$/)
  })

  test('learnt later is replaced from then on', () => {
    const { written, destination } = lines()
    let secrets: readonly string[] = []
    const log = createLogger({ level: 'info', pretty: false, redact: () => secrets, destination })
    log.info('hush-hush')
    secrets = ['hush-hush']
    log.info('hush-hush')
    expect(written.map(line => parsed(line)['msg'])).toEqual(['hush-hush', '[redacted]'])
  })

  test('that looks like a level or is too short to hide anything leaves the line readable', () => {
    const { written, destination } = lines()
    createLogger({ level: 'info', pretty: false, redact: ['30', '', 'level'], destination }).info({ rooms: 30 }, 'the level is fine')
    expect(parsed(written[0])).toMatchObject({ level: 30, rooms: 30, msg: 'the [redacted] is fine' })
  })
})

test('pretty output has no colour codes unless asked', () => {
  const { written, destination } = lines()
  createLogger({ level: 'info', pretty: true, color: false, redact: [], destination }).warn({ a: 1 }, 'plain')
  createLogger({ level: 'info', pretty: true, color: true, redact: [], destination }).warn({ a: 1 }, 'colourful')
  expect(written[0]).not.toContain('\u001b')
  expect(written[1]).toContain('\u001b')
})
