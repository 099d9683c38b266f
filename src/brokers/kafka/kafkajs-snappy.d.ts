declare module 'kafkajs-snappy' {
  /** A kafkajs codec; the package has no types of its own. */
  const codec: () => unknown
  export default codec
}
