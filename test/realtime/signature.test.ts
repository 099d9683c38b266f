import { expect, test } from 'vitest'
import { channelAuth, requestText, sameText, sign, userAuth } from '../../src/realtime/signature.ts'

const documented = { key: '278d425bdf160c739803', secret: '7ad3773142a6692b25b8' }

test("a private channel's signature is the one Pusher documents", () => {
  expect(channelAuth(documented, '1234.1234', 'private-foobar')).toBe(
    '278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4',
  )
})

test("a presence channel's signature holds its channel_data", () => {
  // The documentation's own signature belongs to another name than its text; this is the one of its text.
  const channelData = '{"user_id":10,"user_info":{"name":"Mr. Channels"}}'
  expect(channelAuth(documented, '1234.1234', 'presence-foobar', channelData)).toBe(
    '278d425bdf160c739803:31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80',
  )
})

test("a sign-in's signature is the one Pusher documents", () => {
  expect(userAuth(documented, '1234.1234', '{"id":"12345"}')).toBe(
    '278d425bdf160c739803:4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba',
  )
})

test("a request's signature is the one Pusher documents", () => {
  const parameters = new Map([
    ['auth_version', '1.0'],
    ['body_md5', 'ec365a775a4cd0599faeb73354201b6f'],
    ['auth_key', documented.key],
    ['auth_signature', 'left out'],
    ['auth_timestamp', '1353088179'],
  ])
  const text = requestText('POST', '/apps/3/events', parameters)
  expect(text).toBe(
    'POST\n/apps/3/events\nauth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0&body_md5=ec365a775a4cd0599faeb73354201b6f',
  )
  expect(sign(documented.secret, text)).toBe('da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c')
})

test('only the very same text is the same', () => {
  expect(sameText('abc', 'abc')).toBe(true)
  for (const other of ['abd', 'ab', 'abcd', '', 'äbc']) expect(sameText('abc', other)).toBe(false)
})
