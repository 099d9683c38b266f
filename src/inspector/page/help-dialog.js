import { useEffect, useRef } from 'preact/hooks'
import { html } from './html.js'

const keys = [
  ['j / k', 'the next, the previous message'],
  ['Enter', 'to the details of the message'],
  ['/', 'filter: all words must occur, also states such as dead-lettered'],
  ['Esc', 'back: leave the details, the filter, the message'],
  ['p', 'pause, or go on'],
  ['s', 'send an event'],
  ['e', 'send the chosen message again, edited'],
  ['?', 'this help'],
]

export function HelpDialog({ isOpen, onClose }) {
  const dialog = useRef(null)
  useEffect(() => {
    if (isOpen) dialog.current?.showModal()
    else dialog.current?.close()
  }, [isOpen])
  return html`
    <dialog ref=${dialog} aria-labelledby="help-title" onClose=${onClose}>
      <h2 id="help-title">Keyboard</h2>
      <dl class="keys">
        ${keys.map(([key, does]) => html`<dt><kbd>${key}</kbd></dt><dd>${does}</dd>`)}
      </dl>
      <form method="dialog"><button class="primary">Close</button></form>
    </dialog>
  `
}
