import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The test files behind each group of the README's table of conformance cases. */
const filesOf = {
  'connecting, origins, silence': ['connection'],
  'messages, signatures': ['messages', 'signature'],
  frames: ['frame'],
  broadcasts: ['broadcast'],
  'presence channels': ['presence'],
  'encrypted, cache channels': ['encrypted', 'cache-channels'],
  'client events, counts of subscribers': ['client-events', 'subscription-count'],
  'users: sign-in, events, termination': ['users'],
  'channel rules, `authorize` modules': ['channel-rules'],
  tokens: ['tokens'],
  'the HTTP API': ['http-api', 'http'],
  webhooks: ['webhooks'],
  'event streams': ['event-stream'],
  conflation: ['conflation'],
  'hostile clients, logs, idle connections': ['hostile', 'logs', 'idle-connections'],
  shutdown: ['close'],
  '`pusher-js` and Laravel Echo in Node': ['pusher-js', 'laravel-echo'],
  '`pusher-js` in a real Chromium': ['browser'],
  'history and resume': [
    'memory-history',
    'redis-history',
    'shared-history',
    'slow-history',
    'follower',
    'resume',
    'resumable-client',
    'resumable-browser',
    'event-stream-resume',
  ],
  'many instances': ['local-backplane', 'redis-backplane'],
}

/** What is wrong with the README's table, given the tests of each file that did not fail: a line for each group that has fewer cases than it says. */
export function conformanceFaults(root, casesByFile) {
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  const [, table = ''] = /cases by group, at least:\n\n((?:\|.*\n)+)/.exec(readme) ?? []
  const claimed = new Map([...table.matchAll(/\| ([^|]+?) \| (\d+) (?=\|)/g)].map(([, group, cases]) => [group, Number(cases)]))
  return [...new Set([...claimed.keys(), ...Object.keys(filesOf)])].flatMap(group => {
    const says = claimed.get(group)
    const files = filesOf[group]
    if (says === undefined) return [`${group}: is not in the README's table`]
    if (files === undefined) return [`${group}: test/run/conformance.mjs does not say which files these are`]
    const cases = files.reduce((sum, file) => sum + (casesByFile[`test/realtime/${file}.test.ts`] ?? 0), 0)
    return cases < says ? [`${group}: the README says ${says}, there are ${cases}`] : []
  })
}
