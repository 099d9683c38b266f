import { closeCodes } from './close-code.ts'
import type { Connection } from './connection.ts'
import type { CloseReason } from './counters.ts'
import { type Pass, passCovers } from './pass.ts'
import type { LiveSettings } from './settings.ts'
import type { TokenAnswer } from './token-verifier.ts'

export interface TokenContext {
  readonly settings: LiveSettings
  readonly end: (connection: Connection, reason: CloseReason, code: number, message: string) => void
}

/** Checks the token that a client shows on an established connection, and gives the connection what it allows. Never rejects. */
export async function takeToken(connection: Connection, token: string, context: TokenContext): Promise<TokenAnswer> {
  const answer = await checked(connection, token, context)
  if (answer.kind !== 'valid' || connection.closing !== undefined) return answer
  if (connection.user !== undefined && connection.user.id !== answer.pass.user.id) {
    return { kind: 'refused', error: 'This connection has signed in as another user' }
  }
  if (connection.pass !== answer.pass) {
    const { pass: before } = connection
    givePass(connection, answer.pass)
    if (before !== undefined && narrows(connection, before, answer.pass)) {
      // A client that connects again subscribes again: to what it still may.
      context.end(connection, 'token-replaced', closeCodes.reconnect, 'The new token allows less: connect again')
    }
  }
  return answer
}

/** Its bearer is signed in: events to the user reach it, and `terminate_connections` ends it. */
export function givePass(connection: Connection, pass: Pass): void {
  connection.pass = pass
  connection.isUsed = true
  connection.app.signIn(connection, pass.user)
}

/** pusher-js shows one token for every channel, all at once: it is checked once. */
function checked(connection: Connection, token: string, { settings }: TokenContext): Promise<TokenAnswer> {
  const { app, token: last } = connection
  if (app.tokens === undefined) return Promise.resolve({ kind: 'refused', error: 'This app takes no tokens' })
  if (last?.text === token && (connection.pass === undefined || Date.now() < connection.pass.endsAt)) return last.answer
  const answer = app.tokens.verify(token, settings.limits)
  connection.token = { text: token, answer }
  void answer.then(({ kind }) => {
    if (kind !== 'valid' && connection.token?.answer === answer) connection.token = undefined
  })
  return answer
}

/** Whether a subscription stands on the old pass alone. One that the app has signed for may count as such: its client subscribes again. */
function narrows({ subscriptions }: Connection, before: Pass, after: Pass): boolean {
  return [...subscriptions.keys()].some(channel => passCovers(before, channel) && !passCovers(after, channel))
}
