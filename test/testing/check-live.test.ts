import kafkajs from 'kafkajs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type SecureKafka, startSecureKafka } from '../brokers/secure-kafka.ts'
import { router } from '../cli/router-command.ts'
import { createTopics } from '../kafka/create-topics.mjs'
import { describeWithKafka } from '../kafka/kafka-address.ts'
import { kafkaClient } from '../kafka/kafka-client.ts'
import { makeProject } from '../support/project.ts'

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs

describeWithKafka('router validate --live', () => {
  let kafka: SecureKafka

  beforeAll(async () => {
    kafka = await startSecureKafka()
    const admin = kafkaClient([kafka.address('PLAIN')]).admin()
    await admin.connect()
    const topics = ['orders', 'orders.dlq', 'seen', 'secret'].map(topic => ({ topic, numPartitions: 2 }))
    await createTopics(admin, topics)
    const producer = kafkaClient([kafka.address('PLAIN')]).producer()
    await producer.connect()
    for (const topic of ['orders', 'seen']) await producer.send({ topic, messages: [{ value: '{}' }] })
    await producer.disconnect()
    const bob = {
      principal: 'User:bob',
      host: '*',
      permissionType: AclPermissionTypes.ALLOW,
      resourcePatternType: ResourcePatternTypes.LITERAL,
    }
    await admin.createAcls({
      acl: [
        { ...bob, resourceType: AclResourceTypes.TOPIC, resourceName: 'orders', operation: AclOperationTypes.ALL },
        { ...bob, resourceType: AclResourceTypes.TOPIC, resourceName: 'orders.dlq', operation: AclOperationTypes.ALL },
        { ...bob, resourceType: AclResourceTypes.TOPIC, resourceName: 'seen', operation: AclOperationTypes.DESCRIBE },
        { ...bob, resourceType: AclResourceTypes.GROUP, resourceName: 'shop.orders', operation: AclOperationTypes.ALL },
      ],
    })
    await admin.disconnect()
  })
  afterAll(() => kafka.stop())

  const routerYaml = (address: string, sasl = '') =>
    `name: shop\nbroker: kafka\nbrokers:\n  kafka: { type: kafka, brokers: "${address}"${sasl} }\nserver: { apps: [{ id: a, key: k, secret: not-a-secret }] }\n`
  const asBob = (): string => routerYaml(kafka.address('SASL'), ', sasl: { mechanism: PLAIN, username: bob, password: "${PASSWORD}" }')
  const routes = (topics: string, action = 'broadcast: news') =>
    `topics: ${topics}\nroutes:\n  created:\n    event: order.created\n    actions:\n      - ${action}\n`

  async function validate(files: Readonly<Record<string, string>>) {
    const { root } = await makeProject(files)
    const env = { PASSWORD: 'bob-secret' }
    const { code, stdout, stderr } = await router(['validate', '--live', '--format', 'json'], { cwd: root, env })
    expect(stderr).toBe('')
    return { code, problems: JSON.parse(stdout).problems }
  }

  test('finds topics that are not there, at their place and with what was meant', async () => {
    const { code, problems } = await validate({
      'router.yaml': routerYaml(kafka.address('PLAIN')),
      'routes/orders.yaml': routes('[orders, ordrs]', 'emit: { topic: audit }'),
    })
    expect(code).toBe(1)
    expect(problems).toMatchObject([
      {
        code: 'topic-missing',
        severity: 'error',
        file: 'routes/orders.yaml',
        range: { start: { line: 1, column: 18 } },
        hint: 'Did you mean `orders`?',
      },
      { code: 'topic-missing', severity: 'warning', message: expect.stringContaining('`ordrs.dlq`'), range: { start: { line: 1 } } },
      { code: 'topic-missing', severity: 'warning', message: expect.stringContaining('`audit`'), range: { start: { line: 6 } } },
    ])
  })

  test('finds topics and groups that may not be read', async () => {
    const files = { 'router.yaml': asBob(), 'routes/orders.yaml': routes('orders') }
    expect((await validate(files)).problems.filter(({ severity }: { severity: string }) => severity === 'error')).toEqual([])
    const { code, problems } = await validate({ ...files, 'routes/others.yaml': routes('[seen, secret]') })
    expect(code).toBe(1)
    const refused = problems.filter(
      (problem: { code: string; file: string }) => problem.code === 'broker-refused' && problem.file === 'routes/others.yaml',
    )
    expect(refused).toMatchObject([
      { severity: 'error', message: expect.stringContaining('`seen`'), range: { start: { line: 1, column: 10 } } },
      { severity: 'error', message: expect.stringContaining('`secret`'), range: { start: { line: 1, column: 16 } } },
      { severity: 'error', message: expect.stringContaining('`shop.others`') },
      { severity: 'error', message: expect.stringContaining('`seen.dlq`') },
      { severity: 'error', message: expect.stringContaining('`secret.dlq`') },
    ])
  })

  test('counts partitions for people', async () => {
    const { root } = await makeProject({ 'router.yaml': routerYaml(kafka.address('PLAIN')), 'routes/orders.yaml': routes('orders') })
    const { code, stdout } = await router(['validate', '--live'], { cwd: root })
    expect(stdout).toBe('1 route file, 1 route: no problems\nkafka: orders has 2 partitions and 1 message\n')
    expect(code).toBe(0)
  })

  test('retry topics that are missing may be made, or the permission that is missing is said; nothing is made', async () => {
    const file = `topics: orders\nordering: none\nroutes:\n  created:\n    event: order.created\n    actions:\n      - emit: seen\n        retry: { mode: topics, attempts: 3, delay: 500ms }\n`
    const files = { 'router.yaml': routerYaml(kafka.address('PLAIN')), 'routes/orders.yaml': file }
    expect(await validate(files)).toEqual({ code: 0, problems: [] })
    const { code, problems } = await validate({ ...files, 'router.yaml': asBob() })
    expect(code).toBe(1)
    const at = (topic: string) => ({
      code: 'broker-refused',
      severity: 'error',
      range: { start: { line: 8, column: 24 } },
      message: expect.stringMatching(`${topic}.*Create`),
    })
    expect(problems).toMatchObject([at('shop.orders.signalbox-retry-500ms'), at('shop.orders.signalbox-retry-1s')])
    const admin = kafkaClient([kafka.address('PLAIN')]).admin()
    await admin.connect()
    expect((await admin.listTopics()).filter(topic => topic.includes('retry'))).toEqual([])
    await createTopics(admin, [{ topic: 'shop.orders.signalbox-retry-1s', numPartitions: 3 }])
    await admin.disconnect()
    const { root } = await makeProject(files)
    expect((await router(['validate', '--live'], { cwd: root })).stdout).toContain('kafka: shop.orders.signalbox-retry-1s has 3 partitions')
  })

  test('says at its place in router.yaml that a broker cannot be reached', async () => {
    const { code, problems } = await validate({ 'router.yaml': routerYaml('127.0.0.1:1'), 'routes/orders.yaml': routes('orders') })
    expect(problems).toMatchObject([
      { code: 'broker-refused', file: 'router.yaml', range: { start: { line: 4 } }, message: expect.stringContaining('127.0.0.1:1') },
    ])
    expect(code).toBe(1)
  })
})
