import { describe, expect, test } from 'vitest'
import { makeProject, type TestProject } from '../support/project.ts'
import { dlqRoutes, says } from './dlq-project.ts'
import { RunningCommand, router } from './router-command.ts'

const breaks = `export default () => { throw new TypeError('the warehouse is closed') }\n`

async function shop(): Promise<{
  readonly project: TestProject
  readonly dev: RunningCommand
  run(...args: string[]): ReturnType<typeof router>
}> {
  const project = await makeProject({
    'routes/orders.yaml': dlqRoutes('orders'),
    'handlers/price.ts': says('price'),
    'handlers/ship.ts': breaks,
    'handlers/count.ts': says('count'),
  })
  const dev = new RunningCommand(['dev', '--port', '0', '--inspector-port', '0'], { cwd: project.root })
  await dev.says(/Edits apply on save/)
  return { project, dev, run: (...args) => router(args, { cwd: project.root }) }
}

/** How often a handler said something. */
function said(dev: RunningCommand, what: string): number {
  return dev.stderr.split(`SAID ${what} `).length - 1
}

// Each command is a process of its own.
describe('dlq and offsets inside router dev', { timeout: 120_000 }, () => {
  test('a dead letter is listed, shown, replayed once from the failed action on, and marked when it fails again', async () => {
    const { project, dev, run } = await shop()
    await run('publish', 'orders', 'order.created', '{"id":"a"}', '--key', 'k1')
    await dev.says(/dead-lettered: the warehouse is closed/)
    const listed = await run('dlq', 'list', '--format', 'json')
    const [letter, ...others] = JSON.parse(listed.stdout)
    expect(others).toEqual([])
    expect(letter).toMatchObject({
      state: 'new',
      route: 'orders/ship',
      action: '1:invoke',
      attempts: 1,
      error: 'TypeError',
      message: 'the warehouse is closed',
      from: { topic: 'orders', offset: 0 },
      key: '"k1"',
    })
    const id: string = letter.letter
    expect((await run('dlq', 'show', id)).stdout).toMatch(/state: new[\s\S]+stack:[\s\S]+value:[\s\S]+"id": "a"/)
    for (const filter of [
      ['--route', 'count'],
      ['--error', 'timeout'],
      ['--until', '1h'],
    ])
      expect((await run('dlq', 'list', ...filter)).stdout).toBe('no dead letters\n')

    const dry = await run('dlq', 'replay', '--route', 'ship', '--dry-run')
    expect(dry.stdout).toMatch(/1:invoke +\S+\.orders\.signalbox-replay\n[\s\S]*1 letter would be sent \(router dev\); nothing was\n$/)
    // Still broken: it comes back, marked.
    expect((await run('dlq', 'replay', id)).stdout).toBe('1 letter sent (router dev)\n')
    await dev.says(/(?:dead-lettered: the warehouse is closed[\s\S]*){2}/)
    const states = JSON.parse((await run('dlq', 'list', '--format', 'json')).stdout)
    expect(states.map((each: { state: string; action: string }) => [each.state, each.action]).toSorted()).toEqual([
      ['failed again', '1:invoke'],
      ['replayed', '1:invoke'],
    ])
    const again = await run('dlq', 'replay', '--all')
    expect(again.stdout).toBe('0 letters sent (router dev)\n')
    expect(again.stderr).toMatch(/left out: .+ replayed before \(--again\)\nleft out: .+ failed again after a replay \(--again\)/)

    await project.write('handlers/ship.ts', says('ship'))
    await dev.says(/applied \(generation 2\)/)
    const failedAgain = states.find((each: { state: string }) => each.state === 'failed again').letter
    await run('dlq', 'replay', failedAgain, '--again')
    await dev.says(/SAID ship a 5/)
    expect([said(dev, 'price'), said(dev, 'count'), said(dev, 'ship')]).toEqual([1, 1, 1])

    // To the topic: every route runs.
    await run('dlq', 'replay', id, '--again', '--to-topic')
    await dev.says(/SAID ship a 5[\s\S]*SAID ship a 5/)
    expect([said(dev, 'price'), said(dev, 'count')]).toEqual([2, 2])
  })

  test('a replay says what it does not know, and asks which letters are meant', async () => {
    const { run } = await shop()
    const unsaid = await run('dlq', 'replay')
    expect([unsaid.code, unsaid.stderr]).toEqual([
      2,
      'error: which letters?\n  hint: name them as `router dlq list` does, use its filters, or say --all\n',
    ])
    expect(await run('dlq', 'show', 'orders.dlq/0/7')).toMatchObject({ code: 2, stderr: 'error: there is no letter orders.dlq/0/7\n' })
    expect(await run('dlq', 'show', 'seven')).toMatchObject({ code: 2 })
    expect((await run('dlq', 'list', '--since', 'soon')).stderr).toContain('--since soon: expected a duration or a time')
    expect((await run('dlq', 'list')).stdout).toBe('no dead letters\n')
  })

  test('offsets are shown with those of retries and replays, and set while the consumer stands still', async () => {
    const { run, dev } = await shop()
    await run('publish', 'orders', 'order.created', '{"id":"a"}', '--key', 'k1')
    await dev.says(/dead-lettered/)
    const positions = async () => JSON.parse((await run('offsets', 'show', '--format', 'json')).stdout)
    // Commits come within a second.
    await expect
      .poll(positions, { timeout: 20_000 })
      .toContainEqual(expect.objectContaining({ topic: 'orders', committed: 1, end: 1, lag: 0 }))
    const preview = await run('offsets', 'reset', 'orders', '--to', 'earliest')
    expect(preview.stdout).toMatch(/orders +\d +1 +0 +1 again[\s\S]*nothing was changed: add --execute/)
    await run('dlq', 'replay', '--all')
    await expect
      .poll(positions, { timeout: 20_000 })
      .toContainEqual(expect.objectContaining({ topic: expect.stringMatching(/\.orders\.signalbox-replay$/), committed: 1, lag: 0 }))
    const reset = await run('offsets', 'reset', 'orders', '--to', 'earliest', '--execute')
    expect([reset.code, reset.stdout]).toEqual([0, expect.stringMatching(/the group \S+\.orders goes on there\n$/)])
    expect(reset.stdout).not.toContain('signalbox-replay')
    await dev.says(/SAID count a [\s\S]*SAID count a /)
    expect((await run('offsets', 'reset', 'order', '--to', 'earliest')).stderr).toContain('there are orders')
    expect((await run('offsets', 'reset', 'orders', '--to', '5')).stderr).toContain('one offset is for one partition')
  })
})
