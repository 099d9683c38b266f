import { html } from './html.js'

const restWords = {
  ignore: 'No route names the event: it is counted and left.',
  'dead-letter': 'No route names the event: it goes to the dead-letter topic.',
  actions: 'No route names the event: `unmatched` takes it.',
}

/** For each route whether it takes the message, and why not. */
export function Explanation({ explanation: { generation, routes, unmatched }, seenBy }) {
  return html`
    ${generation !== seenBy && html`<p class="note">By the routes of now (generation ${generation}); the message met generation ${seenBy}.</p>`}
    ${routes.length === 0 && unmatched === null && html`<p class="quiet">No route file reads the topic.</p>`}
    <ul class="plain reasons">
      ${routes.map(
        ({ route, matched, why, idempotencyKey, steps }) => html`
          <li data-state=${matched ? 'done' : 'left-out'}>
            <span class="sign" aria-hidden="true">${matched ? '✓' : '–'}</span>
            <p>
              <b>${route}</b> <span class="quiet">${matched ? 'takes it' : 'does not take it'}</span>
              ${why !== '' && html`<br />${sentence(why)}`}
              ${idempotencyKey !== null && html`<br /><span class="quiet">once per key <code>${idempotencyKey}</code></span>`}
              <${StepProblems} steps=${steps} />
            </p>
          </li>
        `,
      )}
      ${unmatched !== null && html`<li><span class="sign" aria-hidden="true">·</span><p>${sentence(restWords[unmatched.policy])}<${StepProblems} steps=${unmatched.steps} /></p></li>`}
    </ul>
  `
}

function StepProblems({ steps }) {
  return steps.flatMap(({ summary, outputs }) =>
    outputs
      .filter(({ error, skipped }) => error !== null || skipped !== null)
      .map(
        ({ error, skipped }) =>
          html`<span class="step-problem"><code>${summary}</code> ${error === null ? `is left out: ${skipped}` : `fails: ${error}`}</span>`,
      ),
  )
}

/** Words between backticks as code. */
function sentence(text) {
  return text.split('`').map((part, index) => (index % 2 === 1 ? html`<code>${part}</code>` : part))
}
