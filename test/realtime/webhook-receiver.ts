import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

interface Batch {
  readonly headers: Record<string, unknown>
  readonly rawBody: string
  readonly events: Readonly<Record<string, unknown>>[]
}

/** An application's endpoint; `answer` says with which status. */
export async function webhookReceiver(answer: (count: number) => number = () => 200) {
  const batches: Batch[] = []
  const server = createServer((request, response) => {
    let rawBody = ''
    request.setEncoding('utf8')
    request.on('data', chunk => {
      rawBody += chunk
    })
    request.on('end', () => {
      batches.push({ headers: request.headers, rawBody, events: JSON.parse(rawBody).events })
      response.writeHead(answer(batches.length), { location: '/elsewhere' }).end()
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const events = () => batches.flatMap(batch => batch.events)
  return { url: `http://127.0.0.1:${port}/hooks`, batches, events, names: () => events().map(event => event['name']) }
}
