import { expect, onTestFinished, test } from 'vitest'
import type { FleetChannel } from '../../src/realtime/backplane/backplane.ts'
import { Reports } from '../../src/realtime/backplane/reports.ts'
import { describeWithRedis, RedisServer } from '../support/redis-server.ts'
import { asked, eventually } from './fleet.ts'
import { app, connectedClient, startServer } from './harness.ts'

/** What an instance holds, and what it has to tell of it. */
function instance() {
  const channels = new Map<string, FleetChannel>()
  const reports = new Reports({ app, channels })
  const comes = (name: string, userId: string) => {
    channels.set(name, { name, subscriptions: { length: 1 }, members: new Map([[userId, { userId, info: undefined }]]) })
    reports.channel(name)
    reports.count(name)
    reports.member(name, userId)
  }
  const goes = (name: string, userId: string) => {
    channels.delete(name)
    reports.count(name)
    reports.channel(name)
    reports.member(name, userId)
  }
  return { reports, comes, goes }
}

const room = 'presence-room'
const isThere = [1, room, 1, '0', '1', room, '"ada"', '1', '', '0']
const isGone = [1, room, 0, '0', '1', room, '"ada"', '0', '', '0']

test('what came and went before it was told takes no room', () => {
  const { reports, comes, goes } = instance()
  for (let index = 0; index < 1_000; index += 1) {
    comes(`presence-${index}`, 'ada')
    goes(`presence-${index}`, 'ada')
  }
  expect(reports.isEmpty).toBe(true)
})

test('the end of what was told is told', () => {
  const { reports, comes, goes } = instance()
  comes(room, 'ada')
  const report = reports.take()
  expect(report.args).toEqual(isThere)
  report.done()
  goes(room, 'ada')
  expect(reports.take().args).toEqual(isGone)
})

test('the end of what may have been told is told', () => {
  const { reports, comes, goes } = instance()
  comes(room, 'ada')
  const unanswered = reports.take()
  goes(room, 'ada')
  unanswered.failed()
  const second = reports.take()
  expect(second.args).toEqual(isGone)
  second.failed()
  reports.take().done()
  expect(reports.isEmpty).toBe(true)
  comes(room, 'ada')
  goes(room, 'ada')
  expect(reports.isEmpty).toBe(true)
})

test('after redis has lost everything the end of what it was told is told', () => {
  const { reports, comes, goes } = instance()
  comes(room, 'ada')
  reports.take().done()
  reports.startOver(true)
  goes(room, 'ada')
  expect(reports.take().args).toEqual([1, room, 0, '1', '1', room, '"ada"', '0', '', '1'])
})

test('who was given up tells of what is here, and not of what is gone', () => {
  const { reports, comes, goes } = instance()
  comes('presence-hall', 'ben')
  comes(room, 'ada')
  reports.take().done()
  goes('presence-hall', 'ben')
  reports.startOver(false)
  expect(reports.take().args).toEqual([1, room, 1, '0', '0', room, '"ada"', '1', '', '0'])
  expect(reports.isEmpty).toBe(true)
})

describeWithRedis('while redis is away', () => {
  test('channels that come and go are forgotten, and those that stay are told of when it is back', async () => {
    const redis = await RedisServer.start()
    onTestFinished(() => redis.stop())
    const timings = { backplaneHeartbeatMs: 100, backplaneLeaseMs: 600 }
    const { server, port, ...running } = await startServer({ backplane: { type: 'redis', url: redis.url, prefix: 'away' }, timings })
    const client = await connectedClient(port)
    await client.subscribe('early')
    await eventually(async () => JSON.stringify(await asked({ server, port, ...running }, '/channels')) === '{"channels":{"early":{}}}')
    await redis.kill()
    await eventually(async () => !server.stats().backplane.connected)
    for (const name of ['short', 'long']) await client.subscribe(name)
    for (const channel of ['early', 'short']) client.send({ event: 'pusher:unsubscribe', data: { channel } })
    await client.settled()
    await redis.restart()
    await eventually(async () => server.stats().backplane.connected)
    await eventually(async () => JSON.stringify(await asked({ server, port, ...running }, '/channels')) === '{"channels":{"long":{}}}')
  })
})
