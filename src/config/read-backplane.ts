import type { Problem } from '../diagnostics/problem.ts'
import type { ConfigReader } from './config-reader.ts'
import type { BackplaneConfig } from './router-config.ts'
import { problemAt } from './source-document.ts'

const key = 'backplane'

/** `backplane:` of router.yaml with its defaults. */
export function readBackplane(reader: ConfigReader, problems: Problem[]): BackplaneConfig {
  const { document } = reader
  const type = reader.text([key, 'type']) ?? 'local'
  const url = reader.text([key, 'url'])
  if (type === 'redis') {
    if (url === undefined && reader.value([key, 'url']) === undefined && document?.isSound([key])) {
      const hint = 'Write `url: "${REDIS_URL:-redis://localhost:6379}"`'
      const range = document.keyRangeOf([key])
      problems.push(problemAt(document, [key], 'schema-missing-key', '`type: redis` needs its `url`', { hint, range }))
    }
    return { type, url: url ?? 'redis://localhost:6379', prefix: reader.text([key, 'prefix']) ?? 'signalbox' }
  }
  // Without a `type` that alone is what is wrong.
  const misplaced = reader.text([key, 'type']) === undefined ? [] : ['url', 'prefix']
  for (const name of misplaced) {
    const path = [key, name]
    if (reader.value(path) === undefined || document?.isSound(path) !== true) continue
    const range = document.keyRangeOf(path)
    const hint = 'Remove it, or write `type: redis`'
    problems.push(problemAt(document, path, 'schema-value', `\`${name}\` belongs to \`type: redis\``, { hint, range }))
  }
  return { type: 'local' }
}
