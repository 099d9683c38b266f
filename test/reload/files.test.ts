import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { makeProject } from '../support/project.ts'
import { order, ordersYaml, type Running, routerYaml, start, startIn, subscriberOf } from '../support/running-router.ts'

const toBuyers = ordersYaml.replace('user.', 'buyer.')
const file = 'routes/orders.yaml'

/** Where the next order of user 7 arrives. */
async function arrivesOn({ router }: Running): Promise<string | undefined> {
  const subscriber = await subscriberOf(router, 'user.7', 'buyer.7', 'third.7')
  await router.publish(order(7))
  return (await subscriber.atLeast(1))[0]?.channel
}

/** How long the slowest step of an editor takes here, in ms: longer than the watcher waits for quiet. */
const pauseMs = 100

describe('an editor saves a file', () => {
  // At once, each step: a busy machine must not make the editor slower than it is.
  const ways: Readonly<Record<string, (path: string, text: string) => Promise<void>>> = {
    'by emptying it and writing it a moment later': async (path, text) => {
      writeFileSync(path, '')
      await sleep(pauseMs)
      writeFileSync(path, text)
    },
    'by writing it in two parts': async (path, text) => {
      const half = text.indexOf('actions:')
      writeFileSync(path, `${text.slice(0, half)}actions: [`)
      await sleep(pauseMs)
      writeFileSync(path, text)
    },
    'by writing another one and renaming it': async (path, text) => {
      writeFileSync(`${path}~tmp`, text)
      renameSync(`${path}~tmp`, path)
    },
    'by moving the old one away first': async (path, text) => {
      renameSync(path, `${path}~`)
      await sleep(pauseMs)
      writeFileSync(path, text)
      rmSync(`${path}~`)
    },
    'by deleting it first': async (path, text) => {
      rmSync(path)
      await sleep(pauseMs)
      writeFileSync(path, text)
    },
  }

  test.each(Object.keys(ways))('%s: one edit applies, and nothing is called broken or gone', async way => {
    const running = await start({ [file]: ordersYaml })
    await ways[way]?.(join(running.project.root, file), toBuyers)
    expect(await running.nextReload()).toMatchObject({ kind: 'applied', summary: ['orders: 1 route, no restart'] })
    expect(await arrivesOn(running)).toBe('buyer.7')
    // Saved the same way twice: the watch must not have lost the file that took the other's place.
    await ways[way]?.(join(running.project.root, file), ordersYaml.replace('user.', 'third.'))
    expect(await running.nextReload()).toMatchObject({ kind: 'applied', summary: ['orders: 1 route, no restart'] })
    expect(await arrivesOn(running)).toBe('third.7')
    expect(running.reloads).toEqual([])
  })

  test('that stays empty is called broken', async () => {
    const { project, nextReload } = await start({ [file]: ordersYaml })
    await project.write(file, '')
    expect(await nextReload()).toMatchObject({ kind: 'rejected', problems: [{ code: 'file-empty' }] })
  })
})

describe('files come and go', () => {
  test('in folders that did not exist, two levels down, and with the folder again', async () => {
    const running = await start({ [file]: ordersYaml })
    const { project, nextReload } = running
    await project.write('routes/eu/shop/news.yaml', 'topics: news\nunmatched: { actions: [{ broadcast: public.news }] }\n')
    expect(await nextReload()).toMatchObject({ kind: 'applied', summary: ['eu/shop/news: new, group shop.eu.shop.news'] })
    await project.write('routes/eu/shop/news.yaml', 'topics: news\nunmatched: { actions: [{ broadcast: public.other }] }\n')
    expect(await nextReload()).toMatchObject({ kind: 'applied', summary: ['eu/shop/news: 0 routes, no restart'] })
    await rm(join(project.root, 'routes/eu'), { recursive: true })
    expect(await nextReload()).toMatchObject({ kind: 'applied', summary: ['eu/shop/news: gone, its consumer stops'] })
  })

  test('the routes folder goes away and comes back: the routes from before stay at work', async () => {
    const running = await start({ [file]: ordersYaml })
    const { project, nextReload } = running
    await rename(join(project.root, 'routes'), join(project.root, '_aside'))
    expect(await nextReload()).toMatchObject({ kind: 'rejected', problems: [{ code: 'file-unreadable', file: 'routes' }] })
    expect(await arrivesOn(running)).toBe('user.7')
    await rename(join(project.root, '_aside'), join(project.root, 'routes'))
    await sleep(pauseMs)
    await project.write(file, toBuyers)
    expect(await nextReload()).toMatchObject({ kind: 'applied', summary: ['orders: 1 route, no restart'] })
    expect(await arrivesOn(running)).toBe('buyer.7')
  })

  test('router.yaml goes away and comes back: no socket drops, no consumer restarts, and it is said what would take a restart', async () => {
    const running = await start({ [file]: ordersYaml })
    const { project, nextReload, router } = running
    const subscriber = await subscriberOf(router, 'user.7')
    const socketId = subscriber.pusher.connection.socket_id
    await project.remove('router.yaml')
    const gone = await nextReload()
    expect(gone).toMatchObject({ kind: 'applied' })
    expect(gone.kind === 'applied' && gone.summary).toEqual(
      expect.arrayContaining([
        'router.yaml: name changed, which takes a restart',
        'router.yaml: server.apps changed, which takes a restart',
      ]),
    )
    expect(gone.kind === 'applied' && gone.summary.filter(line => line.includes('restarts'))).toEqual([])
    await project.write('router.yaml', routerYaml)
    const back = await nextReload()
    expect(back.kind === 'applied' && back.summary.filter(line => line.includes('restart') && !line.includes('no restart'))).toEqual([])
    await router.publish(order(7))
    expect(await subscriber.atLeast(1)).toMatchObject([{ channel: 'user.7' }])
    expect(subscriber.pusher.connection.socket_id).toBe(socketId)
  })
})

describe('a mounted ConfigMap', () => {
  /** Files as Kubernetes mounts them: links to `..data`, which is a link to a folder of its own for each version. */
  async function mount(folder: string, version: number, files: Readonly<Record<string, string>>): Promise<void> {
    const versioned = join(folder, `..version_${version}`)
    await mkdir(versioned, { recursive: true })
    for (const [name, text] of Object.entries(files)) await writeFile(join(versioned, name), text)
    await symlink(`..version_${version}`, join(folder, '..data_tmp'))
    await rename(join(folder, '..data_tmp'), join(folder, '..data'))
    for (const name of Object.keys(files)) await symlink(join('..data', name), join(folder, name)).catch(() => {})
    await rm(join(folder, `..version_${version - 1}`), { recursive: true, force: true })
  }

  test('is followed through every swap of its versions, each as one edit', async () => {
    const project = await makeProject({ 'router.yaml': routerYaml })
    const routes = join(project.root, 'routes')
    await mount(routes, 1, { 'orders.yaml': ordersYaml, 'other.yaml': ordersYaml.replace('orders', 'other') })
    const running = await startIn(project)
    const channels = ['buyer.7', 'third.7', 'user.7']
    for (const [index, channel] of channels.entries()) {
      const text = ordersYaml.replace('user.', channel.replace('7', ''))
      await mount(routes, index + 2, { 'orders.yaml': text, 'other.yaml': text.replace('orders', 'other') })
      expect(await running.nextReload()).toMatchObject({
        kind: 'applied',
        summary: ['orders: 1 route, no restart', 'other: 1 route, no restart'],
      })
      expect(await arrivesOn(running)).toBe(channel)
    }
    expect(running.reloads).toEqual([])
  })
})
