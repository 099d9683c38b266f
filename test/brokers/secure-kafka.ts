import { rm } from 'node:fs/promises'
import { type Certificates, makeCertificates } from '../kafka/certificates.ts'
import { type KafkaServer, startKafka } from '../kafka/kafka-server.ts'

/** A broker with every way in: in the clear, with TLS, with a client's certificate, with a password, with both. */
export interface SecureKafka {
  readonly server: KafkaServer
  readonly certificates: Certificates
  address(listener: 'PLAIN' | 'TLS' | 'MUTUAL' | 'SASL' | 'SASLTLS'): string
  stop(): Promise<void>
}

/** Ada may do everything; Bob only what an ACL says. Whoever comes in the clear may do everything, so that tests can set ACLs. */
export async function startSecureKafka(): Promise<SecureKafka> {
  const certificates = await makeCertificates()
  const passwords = 'user_ada="ada-secret" user_bob="bob-secret"'
  const jaas: Record<string, string> = {}
  for (const listener of ['sasl', 'sasltls']) {
    jaas[`listener.name.${listener}.plain.sasl.jaas.config`] =
      `org.apache.kafka.common.security.plain.PlainLoginModule required ${passwords};`
    for (const size of [256, 512])
      jaas[`listener.name.${listener}.scram-sha-${size}.sasl.jaas.config`] =
        'org.apache.kafka.common.security.scram.ScramLoginModule required;'
  }
  const server = await startKafka({
    listeners: { TLS: 'SSL', MUTUAL: 'SSL', SASL: 'SASL_PLAINTEXT', SASLTLS: 'SASL_SSL' },
    scram: ['SCRAM-SHA-256=[name=ada,password=ada-secret]', 'SCRAM-SHA-512=[name=ada,password=ada-secret]'],
    properties: {
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.location': certificates.brokerStore,
      'ssl.truststore.type': 'PEM',
      'ssl.truststore.location': certificates.ca,
      'listener.name.mutual.ssl.client.auth': 'required',
      'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'super.users': 'User:ANONYMOUS;User:ada;User:CN=client',
      ...jaas,
    },
  })
  return {
    server,
    certificates,
    address: listener => (listener === 'PLAIN' ? server.address : (server.addresses[listener] ?? '')),
    async stop() {
      await server.stop()
      await rm(certificates.folder, { recursive: true, force: true })
    },
  }
}
