import { describe, expect, test } from 'vitest'
import { formatTestReport } from '../../src/testing/format-test-report.ts'
import { runTests, type TestReport } from '../../src/testing/run-tests.ts'
import { testReportJson, testReportJunit } from '../../src/testing/test-report-files.ts'
import { makeProject } from '../support/project.ts'

const route = `
topics: [orders]
defaults: { retry: { attempts: 3, delay: 1h, maxDelay: 2h, jitter: none }, timeout: 5s }
routes:
  created:
    event: order.created
    actions:
      - invoke: ../handlers/receipt.ts
        as: receipt
      - broadcast: { channel: "user.{{data.user_id}}", data: { url: "{{results.receipt.url}}" } }
      - emit: { topic: audit, key: "{{key}}" }
  paid:
    event: order.paid
    actions:
      - broadcast: sales
`
const handler = `import { defineHandler } from 'signalbox'
export default defineHandler<{ user_id: number }>(async (event, ctx) => {
  await new Promise(resolve => setTimeout(resolve, 30))
  ctx.broadcast('log', 'called', { attempt: ctx.attempt })
  return { url: '/r/' + event.data.user_id }
})
`

async function run(tests: string, files: Readonly<Record<string, string>> = {}): Promise<TestReport> {
  const project = { 'routes/orders.yaml': route, 'handlers/receipt.ts': handler, 'routes/orders.test.yaml': `tests:\n${tests}`, ...files }
  const { root } = await makeProject(project)
  return runTests({ root, env: {}, files: ['routes/orders.test.yaml'] })
}

/** What is wrong with the only case: `line:column message`. */
async function failures(tests: string, files?: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const { problems, results } = await run(tests, files)
  expect(problems).toEqual([])
  return results.flatMap(result => result.failures.map(({ message, range: { start } }) => `${start.line}:${start.column} ${message}`))
}

const given = '    given: { event: order.created, key: k, id: e1, data: { user_id: 7 } }\n'
const mocked = '    mocks: { ../handlers/receipt.ts: { returns: { url: /r } } }\n'

describe('a test of routes', () => {
  test('passes when the outputs are as expected, in the order of routes and actions', async () => {
    const expected =
      '    expect:\n      routes: [created]\n      broadcasts: [{ channel: user.7, event: order.created, data: { url: /r } }]\n' +
      '      invocations: [{ handler: handlers/receipt.ts, event: order.created, data: { user_id: 7 }, attempts: 1 }]\n' +
      '      emits: [{ topic: audit, key: k, event: order.created, data: { user_id: 7 } }]\n      attempts: 1\n      deadLetters: []\n      skipped: []\n'
    expect(await failures(`  - name: a\n${given}${mocked}${expected}`)).toEqual([])
  })

  test('retries through topics take no time either, and say the same', async () => {
    const inTopics = route
      .replace('jitter: none', 'jitter: none, mode: topics')
      .replace('topics: [orders]', 'topics: [orders]\nordering: none')
    const mended =
      '    mocks: { ../handlers/receipt.ts: { throws: down, times: 2, returns: { url: /r } } }\n' +
      '    expect: { invocations: [{ attempts: 3 }], broadcasts: [{ data: { url: /r } }], emits: [{ key: k }], attempts: 3, deadLetters: [] }\n'
    const broken =
      '    mocks: { ../handlers/receipt.ts: { throws: down } }\n' +
      '    expect: { attempts: 3, broadcasts: [], deadLetters: [{ topic: orders.dlq, route: orders/created, action: "0:invoke", attempts: 3, error: down }] }\n'
    const cases = `  - name: mended\n${given}${mended}  - name: broken\n${given}${broken}`
    expect(await failures(cases, { 'routes/orders.yaml': inTopics })).toEqual([])
  })

  test('a handler without a mock runs for real, also what it broadcasts itself', async () => {
    const expected = '    expect: { broadcasts: [{ channel: log, data: { attempt: 1 } }, { channel: user.7, data: { url: /r/7 } }] }\n'
    expect(await failures(`  - name: a\n${given}${expected}`)).toEqual([])
  })

  test('hours of retries take no time', async () => {
    const mocks = '    mocks: { handlers/receipt.ts: { throws: no paper, times: 2, returns: { url: /late } } }\n'
    const expected = '    expect: { attempts: 3, deadLetters: [], broadcasts: [{ data: { url: /late } }] }\n'
    expect(await failures(`  - name: a\n${given}${mocks}${expected}`)).toEqual([])
  })

  test('a handler that always fails is dead-lettered after its attempts, a PermanentError at once', async () => {
    const always = '    mocks: { handlers/receipt.ts: { throws: no paper } }\n'
    const permanent = '    mocks: { handlers/receipt.ts: { throws: { name: PermanentError, message: never } } }\n'
    const expected = (attempts: number, error: string) =>
      `    expect: { attempts: ${attempts}, broadcasts: [], deadLetters: [{ topic: orders.dlq, route: created, action: "0:invoke", attempts: ${attempts}, error: ${error} }] }\n`
    const two = `  - name: a\n${given}${always}${expected(3, 'no paper')}  - name: b\n${given}${permanent}${expected(1, 'never')}`
    expect(await failures(two)).toEqual([])
  })

  test('says at the line of the expectation what is different, missing or too much', async () => {
    const expected =
      '    expect:\n      broadcasts:\n        - channel: user.8\n          data: { url: /r }\n      emits: []\n      invocations:\n        - { handler: handlers/receipt.ts }\n        - { handler: other.ts }\n'
    expect(await failures(`  - name: a\n${given}${mocked}${expected}`)).toEqual([
      '7:20 broadcasts[0].channel is different',
      '9:14 emits: 1 more than expected',
      '12:11 invocations[1] did not happen: there is 1',
    ])
  })

  test('exact: true forbids keys that are not listed', async () => {
    const expected = '    expect: { exact: true, broadcasts: [{ channel: user.7, event: order.created }] }\n'
    expect(await failures(`  - name: a\n${given}${mocked}${expected}`)).toEqual([
      expect.stringContaining('broadcasts[0].data was not expected'),
    ])
  })

  test('several messages, raw values and tombstones', async () => {
    const many =
      '    given:\n      - { event: order.paid, data: 1 }\n      - { event: order.paid, data: null }\n      - { value: "{" }\n      - { topic: elsewhere, event: x }\n'
    const expected =
      '    expect: { broadcasts: [{ channel: sales, data: 1 }], skipped: [null-data, not-json], deadLetters: [{ type: not-json }] }\n'
    expect(await failures(`  - name: a\n${many}${expected}`)).toEqual([
      expect.stringMatching(/^4:\d+ no route file reads the topic elsewhere$/),
    ])
  })

  test('an event that comes twice is a duplicate for a route that completed it, and runs again where it failed', async () => {
    const files = { 'routes/orders.yaml': route.replaceAll('    actions:', '    idempotency: true\n    actions:') }
    const twice =
      '    given:\n      - { event: order.created, id: e1, data: { user_id: 7 } }\n      - { event: order.created, id: e1, data: { user_id: 7 } }\n'
    const once = `  - name: a\n${twice}${mocked}    expect: { broadcasts: [{}], emits: [{}], invocations: [{}], skipped: [duplicate], deadLetters: [] }\n`
    const throws = '    mocks: { handlers/receipt.ts: { throws: no paper, times: 3, returns: {} } }\n'
    const again = `  - name: b\n${twice}${throws}    expect: { emits: [{}], invocations: [{}, {}], skipped: [], deadLetters: [{ error: no paper }] }\n`
    expect(await failures(once + again, files)).toEqual([])
    expect(await failures(once.replace('[duplicate]', '[]'), files)).toEqual([expect.stringContaining('skipped: 1 more than expected')])
  })

  test('a mock that no route invokes is a failure, not a silence', async () => {
    const mocks = '    mocks: { handlers/recept.ts: { returns: 1 } }\n'
    const [failure] = await failures(`  - name: a\n${given}${mocks}    expect: { attempts: 1 }\n`)
    expect(failure).toBe('4:14 no route invokes `handlers/recept.ts`: handlers are handlers/receipt.ts')
  })

  test('a handler that does not load matters only where it is not mocked', async () => {
    const broken = { 'handlers/receipt.ts': 'throw new Error("no database")' }
    expect(await failures(`  - name: a\n${given}${mocked}    expect: { attempts: 1 }\n`, broken)).toEqual([])
    const { problems } = await run(`  - name: a\n${given}    expect: { attempts: 1 }\n`, broken)
    expect(problems.map(({ message }) => message)).toEqual(['The handler handlers/receipt.ts cannot be loaded: no database'])
  })

  test('a mistake in a test file or a route is a located problem, and nothing runs', async () => {
    const { problems, results } = await run('  - name: a\n    givn: {}\n    expect: { broadcast: [] }\n')
    expect(problems.map(({ file, code, range }) => `${file}:${range?.start.line} ${code}`)).toEqual([
      'routes/orders.test.yaml:3 schema-unknown-key',
      'routes/orders.test.yaml:4 schema-unknown-key',
    ])
    expect(results).toEqual([])
  })
})

describe('the report', () => {
  const tests = `  - name: good & <well>\n${given}${mocked}    expect: { attempts: 1 }\n  - name: bad\n${given}${mocked}    expect: { attempts: 2 }\n`

  test('for people has the code frame, the difference, and routes never tested', async () => {
    const printed = formatTestReport(await run(tests), { color: false })
    expect(printed).toContain('  ✓ good & <well>\n  ✗ bad\n    routes/orders.test.yaml:9:25: attempts is different\n')
    expect(printed).toContain('      9 |     expect: { attempts: 2 }\n')
    expect(printed).toContain('      - 2\n      + 1\n')
    expect(printed).toMatch(/1 passed, 1 failed; 1 of 2 routes tested\nnever tested: orders\/paid\n$/)
  })

  test('for programs is JSON', async () => {
    expect(testReportJson(await run(tests))).toMatchObject({
      passed: 1,
      failed: 1,
      tests: [
        { name: 'good & <well>', line: 2, passed: true, failures: [] },
        { name: 'bad', passed: false, failures: [{ message: 'attempts is different', line: 9, column: 25, expected: 2, actual: 1 }] },
      ],
      coverage: { routes: { 'orders/created': 2, 'orders/paid': 0 }, never: ['orders/paid'] },
    })
  })

  test('for CI servers is JUnit, with names escaped', async () => {
    const xml = testReportJunit(await run(tests))
    expect(xml).toContain('<testsuites tests="2" failures="1">')
    expect(xml).toContain(
      '<testcase classname="routes/orders.test.yaml" name="good &amp; &lt;well&gt;" file="routes/orders.test.yaml" line="2"/>',
    )
    expect(xml).toContain('<failure message="attempts is different">routes/orders.test.yaml:9:25: attempts is different\nexpected: 2')
  })
})
