import { type ChannelFeed, channelFeedFault } from '../config/channel-subscriptions.ts'
import { didYouMean } from '../config/did-you-mean.ts'
import type { RouterConfig } from '../config/router-config.ts'
import { StartError } from './start-error.ts'

/** Throws StartError for channels that cannot be fed. */
export function assertChannelFeed(feed: ChannelFeed, { server }: RouterConfig): void {
  const fault = channelFeedFault(feed)
  if (fault !== undefined) throw new StartError('bad-channels', fault)
  const apps = server.apps.map(({ id }) => id)
  const { app } = feed
  if (app === undefined) {
    if (apps.length > 1)
      throw new StartError('bad-channels', 'router.yaml has several apps, and the channels belong to one', {
        hint: `name it with --app: ${apps.join(', ')}`,
      })
  } else if (!apps.includes(app)) {
    const near = didYouMean(app, apps)
    throw new StartError('bad-channels', `router.yaml defines no app ${app}`, {
      hint: near === undefined ? `it defines ${apps.join(', ')}` : `did you mean ${near}?`,
    })
  }
}
