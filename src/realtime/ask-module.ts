import type { AuthorizeUse } from '../config/router-config.ts'
import type { AuthorizeRequest } from './authorize.ts'
import { type Allowed, readAnswer } from './authorize-answer.ts'
import { type Credentials, readCredentials } from './credentials.ts'
import type { SignedInUser } from './presence.ts'
import type { LiveSettings, RealtimeLog } from './settings.ts'

/** Finds the function that an `authorize:` names, in its newest version. */
export type FindModule = (use: AuthorizeUse) => ((request: AuthorizeRequest) => unknown) | undefined

export interface Asker {
  readonly app: { readonly app: { readonly id: string } }
  readonly socketId: string
  readonly credentials: Credentials
  readonly user: SignedInUser | undefined
}

/** What a module says about somebody; `undecided` where it failed or took too long. `error` is for strangers: why is in the log. */
export type Verdict = Allowed | { readonly kind: 'refused' | 'undecided'; readonly error: string }

/** `channel` is undefined for a sign-in. Never rejects. */
export type AskModule = (use: AuthorizeUse, asker: Asker, channel: string | undefined, signal: AbortSignal) => Promise<Verdict>

export function askModule(find: FindModule, settings: LiveSettings, log: RealtimeLog): AskModule {
  return async (use, asker, channel, signal) => {
    const { authorizeMs } = settings.timings
    const timeout = new AbortController()
    const timer = setTimeout(() => timeout.abort(new Error(`no answer within ${authorizeMs} ms`)), authorizeMs)
    const ended = AbortSignal.any([signal, timeout.signal])
    try {
      const decide = find(use)
      if (decide === undefined) throw new Error('the module is not loaded')
      const answer = Promise.resolve(decide({ ...requestOf(asker, channel), signal: ended }))
      const reading = readAnswer(await Promise.race([answer, aborted(ended)]), { channel, user: asker.user, limits: settings.limits })
      if (reading.kind === 'allowed') return reading
      if (reading.kind === 'refused') return { kind: 'refused', error: 'This was not allowed' }
      log.warn({ module: use.module, channel, answer: reading.found }, 'an authorize module answered neither `false` nor what lets in')
      return { kind: 'refused', error: 'The `authorize` module answered nothing that lets in: the log of the router says what' }
    } catch (error) {
      if (!signal.aborted) log.error({ err: error, module: use.module, channel }, 'an authorize module failed')
      return { kind: 'undecided', error: 'This cannot be decided at the moment' }
    } finally {
      clearTimeout(timer)
    }
  }
}

function requestOf({ app, socketId, credentials, user }: Asker, channel: string | undefined): Omit<AuthorizeRequest, 'signal'> {
  const signedIn = user === undefined ? undefined : { id: user.id, data: JSON.parse(user.data) }
  return { app: app.app.id, channel, socketId, ...readCredentials(credentials), user: signedIn }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
