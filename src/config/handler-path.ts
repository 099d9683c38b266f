/** The files that can be handler modules. */
export const handlerExtensions = ['.ts', '.mts', '.js', '.mjs', '.cjs']

/** `receipt.ts#sendReceipt`: the file, and the export that is called. The name of the export is empty where nothing follows the `#`. */
export function splitHandlerPath(written: string): { readonly file: string; readonly exportName: string } {
  const hash = written.lastIndexOf('#')
  return hash === -1 ? { file: written, exportName: 'default' } : { file: written.slice(0, hash), exportName: written.slice(hash + 1) }
}
