import htm from 'htm'
import { h } from 'preact'

/** Markup as tagged templates: no build step. Values are only ever inserted as text: events come from strangers. */
export const html = htm.bind(h)
