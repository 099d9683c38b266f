/**
 * The partition of a key where Java's default partitioner puts it: murmur2 of the key's bytes, made positive, modulo all partitions
 * (org.apache.kafka.clients.producer.internals.BuiltInPartitioner).
 */
export function keyPartition(key: Buffer, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions
}

const SEED = 0x9747b28c
const MULTIPLIER = 0x5bd1e995

/** Kafka's variant of MurmurHash2, 32 bit, as a signed integer (org.apache.kafka.common.utils.Utils). */
function murmur2(bytes: Buffer): number {
  const { length } = bytes
  let hash = SEED ^ length
  const whole = length & ~3
  for (let index = 0; index < whole; index += 4) {
    let word = Math.imul(bytes.readInt32LE(index), MULTIPLIER)
    word ^= word >>> 24
    hash = Math.imul(hash, MULTIPLIER) ^ Math.imul(word, MULTIPLIER)
  }
  if (length > whole) hash = Math.imul(hash ^ bytes.readUIntLE(whole, length - whole), MULTIPLIER)
  hash = Math.imul(hash ^ (hash >>> 13), MULTIPLIER)
  return hash ^ (hash >>> 15)
}
