import { execFile } from 'node:child_process'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** PEM files of an authority of the test's own, and what it signed. */
export interface Certificates {
  readonly folder: string
  readonly ca: string
  /** Signed nothing here. */
  readonly otherCa: string
  readonly clientCert: string
  readonly clientKey: string
  /** Key and certificate of the broker in one file, as Kafka takes a PEM key store. */
  readonly brokerStore: string
}

const EC_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** Made by `openssl`, valid for two days: for 127.0.0.1 and localhost, and for a client named `client`. */
export async function makeCertificates(): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), 'signalbox-certificates-'))
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder })
  const authority = (name: string) =>
    openssl('req', '-x509', ...EC_KEY, '-keyout', `${name}.key`, '-out', `${name}.pem`, '-days', '2', '-subj', `/CN=${name}`)
  await Promise.all([authority('ca'), authority('other-ca')])
  const sign = async (name: string, subjectAltName: string) => {
    await openssl(
      ...['req', ...EC_KEY, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`],
      ...['-addext', `subjectAltName=${subjectAltName}`],
    )
    await openssl(
      ...['x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-copy_extensions', 'copy'],
      ...['-days', '2', '-out', `${name}.pem`],
    )
  }
  await sign('broker', 'IP:127.0.0.1,DNS:localhost')
  await sign('client', 'DNS:client')
  const path = (file: string) => join(folder, file)
  const brokerStore = `${await readFile(path('broker.key'), 'utf8')}${await readFile(path('broker.pem'), 'utf8')}`
  await writeFile(path('broker-store.pem'), brokerStore)
  return {
    folder,
    ca: path('ca.pem'),
    otherCa: path('other-ca.pem'),
    clientCert: path('client.pem'),
    clientKey: path('client.key'),
    brokerStore: path('broker-store.pem'),
  }
}
