import { fork } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { afterAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { LevelStore } from '../../src/stores/level-store.ts'
import { asked } from './asked.ts'
import { storeContract } from './store-contract.ts'

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'signalbox-level-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const completion = (key: string, ttlMs = 60_000) => ({ key, owner: 'a', ttlMs, check: '' })
const claim = (key: string) => ({ key, owner: 'b', leaseMs: 60_000 })

describe('the level store', () => {
  const folders: string[] = []
  storeContract(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'signalbox-level-'))
    folders.push(folder)
    return LevelStore.open({ folder })
  })

  afterAll(async () => {
    await Promise.all(folders.map(folder => rm(folder, { recursive: true, force: true })))
  })

  test('completed keys survive a restart, what was in progress is free', async () => {
    const folder = await emptyFolder()
    const first = asked(await LevelStore.open({ folder }))
    expect([await first.claim(claim('working')), await first.claim(claim('done'))]).toEqual(['claimed', 'claimed'])
    await first.complete({ ...completion('done'), owner: 'b' })
    await first.close()
    const second = asked(await LevelStore.open({ folder }))
    onTestFinished(() => second.close())
    expect([await second.claim({ ...claim('working'), owner: 'c' }), await second.claim(claim('done'))]).toEqual(['claimed', { check: '' }])
  })

  test('completed keys survive a kill of the process', async () => {
    const folder = await emptyFolder()
    const child = fork(new URL('./completing-process.mjs', import.meta.url), [folder], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    const stored = await new Promise<number>(resolve => {
      child.on('message', count => {
        if (Number(count) < 500) return
        child.kill('SIGKILL')
        resolve(Number(count))
      })
    })
    await new Promise(resolve => child.once('exit', resolve))
    const store = asked(await LevelStore.open({ folder }))
    onTestFinished(() => store.close())
    const answers = await Promise.all(Array.from({ length: stored }, (_, index) => store.claim(claim(`key-${index}`))))
    expect(answers.filter(answer => typeof answer !== 'object')).toEqual([])
  })

  test('a second one on the same folder is refused, and told what to do', async () => {
    const folder = await emptyFolder()
    const first = await LevelStore.open({ folder })
    onTestFinished(() => first.close())
    await expect(LevelStore.open({ folder })).rejects.toMatchObject({
      code: 'in-use',
      message: expect.stringContaining('is used by another process'),
      hint: expect.stringContaining('idempotency.path'),
    })
  })

  test('a folder that cannot be one is refused with a plain message', async () => {
    const folder = await emptyFolder()
    await writeFile(join(folder, 'idempotency'), 'a file in the way')
    await chmod(folder, 0o700)
    await expect(LevelStore.open({ folder })).rejects.toMatchObject({ code: 'cannot-open' })
  })

  test('keys that have run out are deleted, those completed again since are kept', async () => {
    const folder = await emptyFolder()
    let now = 1_000_000
    const level = await LevelStore.open({ folder, now: () => now })
    const store = asked(level)
    const many = Array.from({ length: 2_500 }, (_, index) => completion(`old-${index}`, 1_000))
    await Promise.all([...many, completion('again', 1_000), completion('long', 100_000)].map(one => store.complete(one)))
    now += 2_000
    await store.complete(completion('again', 100_000))
    await level.sweep()
    expect(await Promise.all(['old-7', 'again', 'long'].map(key => store.claim(claim(key))))).toEqual([
      'claimed',
      { check: '' },
      { check: '' },
    ])
    await store.close()
    const db = new ClassicLevel(join(folder, 'idempotency'))
    onTestFinished(() => db.close())
    // Two keys, each with the list that it will be deleted by.
    const left = await db.keys().all()
    expect(left.filter(key => key.startsWith('k'))).toEqual(['kgroup/route/=again', 'kgroup/route/=long'])
    expect(left).toHaveLength(4)
  })

  /** A key that has run out, and how to complete it again; the store is swept by hand. */
  async function outdated() {
    const folder = await emptyFolder()
    let now = 1_000_000
    const level = await LevelStore.open({ folder, now: () => now })
    onTestFinished(() => level.close())
    const store = asked(level)
    await store.complete(completion('again', 1_000))
    now += 2_000
    return { level, store, completeAgain: () => store.complete(completion('again', 100_000)) }
  }

  test('a key that is completed again after a sweep has read it stays completed', async () => {
    const { level, store, completeAgain } = await outdated()
    const { getMany } = ClassicLevel.prototype
    const reading = vi.spyOn(ClassicLevel.prototype, 'getMany').mockImplementation(async function (
      this: ClassicLevel<unknown, unknown>,
      keys,
      options,
    ) {
      const held = await getMany.call(this, keys, options)
      await completeAgain()
      return held
    })
    onTestFinished(() => void vi.restoreAllMocks())
    await level.sweep()
    expect(reading).toHaveBeenCalledOnce()
    expect(await store.claim(claim('again'))).toEqual({ check: '' })
  })

  test('a key that is completed again while a sweep deletes it stays completed', async () => {
    const { level, store, completeAgain } = await outdated()
    const completed: Promise<boolean>[] = []
    const { getMany, batch } = ClassicLevel.prototype
    vi.spyOn(ClassicLevel.prototype, 'getMany').mockImplementation(async function (this: ClassicLevel<unknown, unknown>, keys, options) {
      const held = await getMany.call(this, keys, options)
      vi.spyOn(ClassicLevel.prototype, 'batch').mockImplementationOnce(function (this: ClassicLevel) {
        const deletions = batch.call(this)
        const write = deletions.write.bind(deletions)
        deletions.write = async () => {
          completed.push(completeAgain())
          // Turns in which nothing may be written that the deletion would undo.
          for (let turn = 0; turn < 50; turn++) await new Promise(resolve => setImmediate(resolve))
          await write()
        }
        return deletions
      })
      return held
    })
    onTestFinished(() => void vi.restoreAllMocks())
    await level.sweep()
    expect(await Promise.all(completed)).toEqual([true])
    expect(await store.claim(claim('again'))).toEqual({ check: '' })
  })
})
