import type { YamlFault, YamlNode } from './yaml-node.ts'

/** What one file may expand to: far above what people write, far below what hurts. */
const limits = { depth: 100, aliases: 1_000, mergedKeys: 10_000, values: 100_000 }

/** Problems of one kind that are shown of one file: enough to work on. */
export const mostProblems = 100

/** Ends the reading of a file: what follows could not be understood, or would cost too much. */
export class FatalFault extends Error {
  readonly fault: YamlFault
  /** Found before, and worth showing with it. */
  readonly earlier: readonly YamlFault[]

  constructor(fault: YamlFault, earlier: readonly YamlFault[] = []) {
    super(fault.message)
    this.fault = fault
    this.earlier = earlier
  }
}

interface Extent {
  readonly values: number
  readonly depth: number
}

const scalarExtent: Extent = { values: 1, depth: 0 }

/**
 * Counts what aliases and merge keys expand to, without expanding them: a few lines of nested aliases are a few values in memory and billions to
 * whoever walks them. All methods throw FatalFault once a limit is passed.
 */
export class YamlBudget {
  private aliases = 0
  private mergedKeys = 0
  private readonly extents = new Map<YamlNode, Extent>()

  /** `written` is the number of values in the text itself, before anything expands. */
  chargeValues(written: number, start: number): void {
    if (written <= limits.values) return
    const message = `The file holds more than ${format(limits.values)} keys and values`
    throw new FatalFault({ code: 'file-too-large', message, start, end: start + 1, hint: 'Split it' })
  }

  chargeFault(faults: readonly YamlFault[]): void {
    if (faults.length < mostProblems) return
    const [{ start, end } = { start: 0, end: 1 }] = faults.slice(-1)
    const message = `The file has more than ${mostProblems} problems: the others are not shown`
    throw new FatalFault({ code: 'too-many-problems', message, start, end, hint: 'Correct these first' }, faults)
  }

  chargeAlias(start: number, end: number): void {
    this.aliases += 1
    if (this.aliases > limits.aliases) throw tooMuch(start, end, `The file uses more than ${format(limits.aliases)} aliases`)
  }

  chargeMerge(keys: number, start: number, end: number): void {
    this.mergedKeys += 1 + keys
    if (this.mergedKeys > limits.mergedKeys) throw tooMuch(start, end, `Merge keys expand to more than ${format(limits.mergedKeys)} keys`)
  }

  /** An alias counts as much as what it stands for. */
  share(alias: YamlNode, target: YamlNode): void {
    this.extents.set(alias, this.extentOf(target))
  }

  measure(node: YamlNode, children: readonly YamlNode[]): void {
    let values = 1
    let depth = 1
    for (const child of children) {
      const extent = this.extentOf(child)
      values += extent.values
      depth = Math.max(depth, extent.depth + 1)
    }
    this.extents.set(node, { values, depth })
    if (values > limits.values) throw tooMuch(node.start, node.start + 1, `The file expands to more than ${format(limits.values)} values`)
    if (depth > limits.depth) throw tooMuch(node.start, node.start + 1, `Aliases nest maps and lists more than ${limits.depth} deep`)
  }

  private extentOf(node: YamlNode): Extent {
    return this.extents.get(node) ?? scalarExtent
  }
}

function tooMuch(start: number, end: number, message: string): FatalFault {
  return new FatalFault({ code: 'yaml-alias', message, start, end, hint: 'Split the file, or use fewer aliases' })
}

function format(number: number): string {
  return number.toLocaleString('en')
}
