const isoPattern = /^\d{4}-\d{2}-\d{2}(?:[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(Z|z|[+-]\d{2}:?\d{2})?)?$/

/**
 * Epoch milliseconds of an ISO 8601 date or timestamp given as text; undefined for any other text. Without a zone it is UTC,
 * wherever the router runs.
 */
export function isoInstant(text: string): number | undefined {
  // The longest form is 35 characters: a stranger's long text is not worth a regular expression.
  if (text.length > 40) return undefined
  const match = isoPattern.exec(text)
  if (match === null) return undefined
  const dateOnly = text.length === 10
  const zoned = dateOnly || match[1] !== undefined ? text : `${text}Z`
  const instant = Date.parse(zoned.replace(' ', 'T').replace(/([+-]\d{2})(\d{2})$/, '$1:$2'))
  return Number.isNaN(instant) || !isRealDay(text) ? undefined : instant
}

/** Date.parse turns 30 February into 1 March for some forms; a calendar day must exist. */
function isRealDay(text: string): boolean {
  const year = Number(text.slice(0, 4))
  const month = Number(text.slice(5, 7))
  const day = Number(text.slice(8, 10))
  return (
    month >= 1 && month <= 12 && day >= 1 && day <= new Date(Date.UTC(2000, month, 0)).getUTCDate() - (month === 2 && !isLeap(year) ? 1 : 0)
  )
}

function isLeap(year: number): boolean {
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
}
