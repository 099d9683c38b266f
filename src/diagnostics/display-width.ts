const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })

/** Emoji, and the East Asian scripts that terminals draw two columns wide. */
const wide =
  /\p{Emoji_Presentation}|\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|[\u3000-\u303E\uFF01-\uFF60\uFFE0-\uFFE6]/u

/** Columns that a terminal uses for a text without control characters. */
export function displayWidth(text: string): number {
  let width = 0
  for (const { segment } of graphemes.segment(text)) width += wide.test(segment) ? 2 : 1
  return width
}

/** Two columns for a tab, and a visible mark for characters that would move the cursor, change colours or reverse the reading direction. */
export function visible(text: string): string {
  return text.replaceAll('\t', '  ').replace(/[\p{Cc}\u200E\u200F\u202A-\u202E\u2066-\u2069\u2028\u2029\uFEFF]/gu, '\uFFFD')
}
