import { decompress as decompressZstd } from 'fzstd'
import kafkajs from 'kafkajs'
import snappy from 'kafkajs-snappy'
import { compressFrame, decompressFrame } from 'lz4-napi'

// kafkajs is CommonJS, and Node cannot see this one of its exports by name.
const { CompressionCodecs, CompressionTypes } = kafkajs

/** kafkajs decodes only gzip by itself, and crashes its consumer on everything else. Records are written uncompressed: zstd is decoded only. */
export function registerCodecs(): void {
  CompressionCodecs[CompressionTypes.Snappy] = snappy
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: (encoder: { readonly buffer: Buffer }) => compressFrame(encoder.buffer),
    decompress: (buffer: Buffer) => decompressFrame(buffer),
  })
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: async () => {
      throw new Error('zstd is decoded only')
    },
    decompress: async (buffer: Buffer) => Buffer.from(decompressZstd(buffer)),
  })
}
