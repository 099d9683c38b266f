/** Somebody who wants to subscribe, or to sign in. */
export interface AuthorizeRequest {
  readonly app: string
  /** Undefined where a client signs in (the rule of `#server-to-user-*`). */
  readonly channel: string | undefined
  readonly socketId: string
  /** From `Authorization: Bearer ...`, else the parameter `token`. */
  readonly token: string | undefined
  readonly cookie: Readonly<Record<string, string>>
  /** Parameters of the address, and of the form where one was posted. */
  readonly query: Readonly<Record<string, string>>
  /** `origin`, `user-agent`, `accept-language`, `referer`, `x-csrf-token`, `x-xsrf-token` and `x-requested-with`, those that were sent. */
  readonly headers: Readonly<Record<string, string>>
  /** Who the socket signed in as; undefined too where an endpoint is asked on another instance than that of the socket. */
  readonly user: { readonly id: string; readonly data: unknown } | undefined
  /** Aborted when the answer would come too late. */
  readonly signal: AbortSignal
}

/**
 * `false` refuses, and so does whatever is not described here. `true` lets in. A presence channel needs to know who it is, and so does a sign-in:
 * `user_id`, and `user_info` for the others to see. An encrypted channel needs its `shared_secret`, in base64, when the authorisation endpoint asks for it.
 */
export type AuthorizeAnswer =
  | boolean
  | { readonly user_id?: string | number; readonly user_info?: unknown; readonly shared_secret?: string }

export type Authorize = (request: AuthorizeRequest) => AuthorizeAnswer | PromiseLike<AuthorizeAnswer>

/** Gives an `authorize` module its types: `export default defineAuthorize(async ({ channel, cookie }) => ...)`. */
export function defineAuthorize(authorize: Authorize): Authorize {
  return authorize
}
