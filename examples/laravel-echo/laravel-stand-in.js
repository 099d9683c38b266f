import { text } from 'node:stream/consumers'
import Pusher from 'pusher'

/**
 * Does what a Laravel application does at /broadcasting/auth: looks up who is signed in, asks the rule of routes/channels.php, and signs with the
 * app's secret. A Vite plugin, so that one command serves the page and this.
 */
export function laravelStandIn({ appId, key, secret, signedIn }) {
  const pusher = new Pusher({ appId, key, secret, cluster: 'none' })
  return {
    name: 'laravel-stand-in',
    configureServer(server) {
      server.middlewares.use('/broadcasting/auth', async (request, response) => {
        const form = new URLSearchParams(await text(request))
        const channel = form.get('channel_name') ?? ''
        response.setHeader('content-type', 'application/json')
        if (!mayListen(signedIn, channel)) {
          response.statusCode = 403
          response.end('{"message":"This action is unauthorized."}')
          return
        }
        response.end(JSON.stringify(pusher.authorizeChannel(form.get('socket_id') ?? '', channel)))
      })
    },
  }
}

/** Broadcast::channel('user.{id}', fn (User $user, int $id) => $user->id === $id) */
function mayListen(user, channel) {
  return channel === `private-user.${user.id}`
}
