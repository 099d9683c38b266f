import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/cli/global-setup.ts', 'test/kafka/global-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // The default of 1 s says nothing about the router on a busy machine.
    expect: { poll: { timeout: 20_000 } },
    pool: 'forks',
    maxWorkers: 2,
  },
})
