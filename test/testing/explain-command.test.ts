import { describe, expect, test } from 'vitest'
import { router } from '../cli/router-command.ts'
import { makeProject } from '../support/project.ts'

const route = 'topics: [orders]\nroutes:\n  created:\n    event: order.created\n    actions:\n      - broadcast: "user.{{data.user_id}}"\n'

describe('router explain', () => {
  test('explains a value from a file as JSON', async () => {
    const { root } = await makeProject({
      'routes/a.yaml': route,
      'event.json': '{ "event": "order.created", "data": { "user_id": 7 } }',
    })
    const { code, stdout, stderr } = await router(['explain', 'event.json', '--topic', 'orders', '--format', 'json'], { cwd: root })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout).routes[0].actions[0].channel).toBe('user.7')
  })

  test('explains a whole message with key and headers, and exits with 1 where an action cannot be rendered', async () => {
    const cloudEvent = { specversion: '1.0', id: '1', source: '/s', type: 'order.created', data: { user_id: null } }
    const message = { headers: { 'content-type': 'application/cloudevents+json' }, key: 'k', value: cloudEvent }
    const { root } = await makeProject({ 'routes/a.yaml': route })
    const { code, stdout } = await router(['explain', '-', '--message'], { cwd: root, input: JSON.stringify(message) })
    expect(stdout).toContain('1 broadcast cannot be rendered: data.user_id is null')
    expect(code).toBe(1)
  })

  test('a message on its way back, from a retry topic or as a dead letter, is explained as the one it was', async () => {
    const file =
      'topics: [orders]\nroutes:\n  all:\n    when: { topic: orders }\n    actions:\n      - broadcast: { channel: "at.{{topic}}.{{partition}}.{{offset}}", data: "{{headers}}" }\n'
    const { root } = await makeProject({ 'routes/a.yaml': file })
    const headers = {
      trace: 't',
      'kafka_dlt-original-topic': 'orders',
      'kafka_dlt-original-partition': 3,
      'kafka_dlt-original-offset': 41,
      'retry_topic-attempts': 2,
      'signalbox-route': 'a/all',
    }
    const input = JSON.stringify({ headers, key: 'k', value: { id: '1', event: 'made', data: {} } })
    for (const from of [['--topic', 'shop.a.signalbox-retry-1s'], ['--topic', 'orders.dlq'], []]) {
      const { code, stdout, stderr } = await router(['explain', '-', '--message', '--format', 'json', ...from], { cwd: root, input })
      expect({ code, stderr }).toEqual({ code: 0, stderr: 'note: a message that comes back: the routes see it as orders/3/41\n' })
      expect(JSON.parse(stdout).routes[0]).toMatchObject({ matched: true, actions: [{ channel: 'at.orders.3.41', data: { trace: 't' } }] })
    }
    const { stdout } = await router(['explain', '-', '--message', '--format', 'json', '--topic', 'orders'], { cwd: root, input })
    expect(JSON.parse(stdout).routes[0].actions[0].channel).toBe('at.orders.0.0')
  })

  test('a mistake in the file is shown with its place', async () => {
    const { root } = await makeProject({ 'routes/a.yaml': route, 'event.json': '{"value": }' })
    const { code, stdout, stderr } = await router(['explain', 'event.json', '--message'], { cwd: root })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('event.json:1:11: expected a value')
  })
})
