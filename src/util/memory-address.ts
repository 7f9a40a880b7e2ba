/** What the nodes of a cluster in memory are called: names that nothing finds but its own `dial`. */
export const memoryAddress = (nodeId: number): { readonly host: string; readonly port: number } => ({
  host: `broker-${nodeId}`,
  port: MEMORY_PORT,
})

const MEMORY_PORT = 9092

export const isMemoryAddress = ({ host, port }: { readonly host: string; readonly port: number }): boolean =>
  port === MEMORY_PORT && /^broker-\d+$/.test(host)
