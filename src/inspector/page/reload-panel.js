import { useEffect, useState } from 'preact/hooks'
import { clockTime } from './format.js'
import { html } from './html.js'

/** How the latest change on disk ended; problems with their places in the files. */
export function ReloadPanel({ report }) {
  const [dismissed, dismiss] = useState(null)
  useEffect(() => dismiss(null), [report?.at])
  const { kind, at, summary, problems } = report ?? {}
  const time = report === null ? '' : clockTime(at).slice(0, 8)
  const title = kind === 'applied' ? `Change applied at ${time}` : `Change rejected at ${time}: the routes from before stay at work`
  return html`
    <p class="visually-hidden" role="status">${report === null ? '' : title}</p>
    ${
      report !== null &&
      dismissed !== at &&
      html`
        <section id="reload" class="reload" data-kind=${kind} aria-label="Latest reload">
          <div class="head">
            <h2>${title}</h2>
            <button type="button" class="plain-button" onClick=${() => dismiss(at)}>Dismiss</button>
          </div>
          ${summary.length > 0 && html`<ul>${summary.map(line => html`<li>${line}</li>`)}</ul>`}
          ${problems !== '' && html`<pre tabindex="0" aria-label="Problems">${problems}</pre>`}
        </section>
      `
    }
  `
}
