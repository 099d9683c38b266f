import { expect, onTestFinished, test } from 'vitest'
import { order, ordersYaml, routerYaml, start } from '../support/running-router.ts'

const withHistory = `${routerYaml}channels:\n  "user.*": { history: { size: 3 } }\n`

/** `GET /sse` as curl shows it, until it holds what is looked for. */
async function streamed(port: number, query: string, lastEventId: string | undefined, holds: (text: string) => boolean): Promise<string> {
  const ended = new AbortController()
  onTestFinished(() => ended.abort())
  const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId }
  const response = await fetch(`http://127.0.0.1:${port}/sse?${query}`, { headers, signal: ended.signal })
  let text = ''
  if (response.body === null) throw new Error('no body')
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk
    if (holds(text)) break
  }
  ended.abort()
  return text
}

test('what a route sends to a channel with history while nobody is there comes to whoever returns; a save changes what is kept', async () => {
  const { router, project, nextReload } = await start({ 'router.yaml': withHistory, 'routes/orders.yaml': ordersYaml })
  const { port } = router.address
  const before = await streamed(port, 'channels=user.7', undefined, text => /^id: [^-\s]\S*$/m.test(text))
  const id = /^id: ([^-\s]\S*)$/m.exec(before)?.[1]
  for (const note of ['one', 'two']) await router.publish(order(7, note))
  const missed = await streamed(port, 'channels=user.7', id, text => text.includes('"two"') && text.includes('router:resumed'))
  expect([...missed.matchAll(/"note":"(\w+)"/g)].map(([, note]) => note)).toEqual(['one', 'two'])
  await project.write('router.yaml', routerYaml)
  expect(await nextReload()).toMatchObject({ kind: 'applied' })
  const without = await streamed(port, 'channels=user.7', id, text => text.includes('subscription_succeeded'))
  expect(without).not.toContain('\nid: ')
})
