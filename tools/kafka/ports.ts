/**
 * Free ports for servers that are stopped and started again on the same port.
 *
 * They lie below the range that the kernel hands to outgoing connections. A port inside that range could be taken
 * while its server is down, and on Linux a client that keeps knocking on such a port of its own host may even
 * connect to itself.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'

const lowest = 10_000
const attempts = 200

function endOfServerPorts(): number {
  try {
    const first = Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/)[0])
    return first > lowest + 1_000 ? first : 65_000
  } catch {
    return 49_152
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
    return true
  } catch {
    return false
  } finally {
    server.close()
  }
}

/** `count` different ports of 127.0.0.1 on which nobody listens now. */
export async function freePorts(count: number): Promise<number[]> {
  const end = endOfServerPorts()
  const found = new Set<number>()
  for (let attempt = 0; attempt < attempts && found.size < count; attempt++) {
    const port = lowest + Math.floor(Math.random() * (end - lowest))
    if (!found.has(port) && (await isFree(port))) found.add(port)
  }
  if (found.size < count) throw new Error(`no ${count} free ports between ${lowest} and ${end}`)
  return [...found]
}
