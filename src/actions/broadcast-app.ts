import type { ActionSource } from '../compiler/action-type.ts'
import { didYouMean } from '../config/did-you-mean.ts'

/** The app a broadcast goes to: the only one, or the one it names. Undefined after reporting. */
export function chooseApp(source: ActionSource): string | undefined {
  const { apps, section } = source
  const known = `apps are ${apps.join(', ')}`
  if (section.has('app')) {
    const app = section.text('app')
    if (app === undefined || apps.includes(app)) return app
    const near = didYouMean(app, apps)
    source.report(
      section.pathOf('app'),
      'app-unknown',
      `router.yaml defines no app \`${app}\``,
      near === undefined ? `The ${known}` : `Did you mean \`${near}\`?`,
    )
    return undefined
  }
  if (apps.length > 1)
    source.report(
      source.path,
      'app-unknown',
      'A broadcast must name its app where router.yaml has several',
      `Add \`app\` to the long form; the ${known}`,
    )
  // Without any app there is nothing to choose from: that is reported once, for router.yaml.
  return apps.length === 1 ? apps[0] : undefined
}
