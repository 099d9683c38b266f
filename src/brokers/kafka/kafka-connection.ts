import type { Cluster } from 'kafkajs'
import { isBroken } from './kafka-error.ts'
import { clusterOf, type KafkaLink } from './kafka-link.ts'

/**
 * A consumer's connection, renewed when it breaks. kafkajs would reconnect by itself, but keeps the half-received answer of the broken
 * socket and reads the new socket's bytes as its rest (2.2.4, src/network/connection.js): after that no answer is understood any more.
 */
export class KafkaConnection {
  readonly #openLink: () => KafkaLink
  readonly #readUncommitted: boolean
  #topics: readonly string[] = []
  #link: KafkaLink
  #cluster: Cluster
  #ready: Promise<Cluster> | undefined

  constructor(openLink: () => KafkaLink, readUncommitted: boolean) {
    this.#openLink = openLink
    this.#readUncommitted = readUncommitted
    this.#link = openLink()
    this.#cluster = clusterOf(this.#link, { readUncommitted, createsTopics: false })
  }

  /** The cluster client as it is now, connected, with the metadata of the topics in use. */
  ready(): Promise<Cluster> {
    if (this.#ready === undefined) {
      const ready = this.#prepare(this.#cluster)
      this.#ready = ready
      ready.catch(() => {
        if (this.#ready === ready) this.#ready = undefined
      })
    }
    return this.#ready
  }

  /** From now on `ready` answers with the metadata of these; they must exist. */
  useTopics(topics: readonly string[]): void {
    this.#topics = topics
    this.#ready = undefined
  }

  /** To be told every failed request: a broken connection is replaced, once, by a new one. */
  failed(cluster: Cluster, error: unknown): void {
    if (isBroken(error) && cluster === this.#cluster) this.renew()
  }

  /** Whatever waits for an answer fails. */
  renew(): void {
    this.#link.close()
    this.#link = this.#openLink()
    this.#cluster = clusterOf(this.#link, { readUncommitted: this.#readUncommitted, createsTopics: false })
    this.#ready = undefined
  }

  close(): void {
    this.#link.close()
  }

  async #prepare(cluster: Cluster): Promise<Cluster> {
    try {
      await cluster.connect()
      if (this.#topics.length > 0) await cluster.addMultipleTargetTopics([...this.#topics])
      return cluster
    } catch (error) {
      this.failed(cluster, error)
      throw error
    }
  }
}
