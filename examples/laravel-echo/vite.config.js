import { defineConfig } from 'vite'
import { laravelStandIn } from './laravel-stand-in.js'

export default defineConfig({
  plugins: [
    laravelStandIn({
      appId: process.env.REVERB_APP_ID ?? '1001',
      key: process.env.REVERB_APP_KEY ?? 'laravel-key',
      secret: process.env.REVERB_APP_SECRET ?? 'laravel-secret',
      signedIn: { id: 7 },
    }),
  ],
  server: { host: '127.0.0.1', port: 5173, strictPort: true },
})
