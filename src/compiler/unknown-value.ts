/**
 * Stands for what is known only when the route runs, such as a handler's result: explaining a route shows it as `<results.receipt.url>`.
 * Every property of it is unknown too. Templates and helpers pass it on; running messages never see one.
 */
export class UnknownValue {
  readonly #text: string

  private constructor(text: string) {
    this.#text = text
  }

  /** `path` as a template has it: `results.receipt`. */
  static at(path: string): UnknownValue {
    const value = new UnknownValue(`<${path}>`)
    return new Proxy(value, {
      getOwnPropertyDescriptor: (_, key) =>
        typeof key === 'string' ? { value: UnknownValue.at(`${path}.${key}`), configurable: true, enumerable: false } : undefined,
      // Members of the class first: they must be called on the value itself, whose text is private.
      get: (_, key) => {
        if (key === 'toString' || key === 'toJSON') return () => value.#text
        return typeof key === 'string' ? UnknownValue.at(`${path}.${key}`) : undefined
      },
    })
  }

  toString(): string {
    return this.#text
  }

  toJSON(): string {
    return this.#text
  }
}
