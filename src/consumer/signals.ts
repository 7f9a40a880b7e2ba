/** Signals of the process, for as long as somebody listens. */

/** Calls back at any of the signals; the returned function ends that. */
export function onSignals(signals: readonly NodeJS.Signals[], callback: () => void): () => void {
  for (const signal of signals) process.on(signal, callback)
  return () => {
    for (const signal of signals) process.off(signal, callback)
  }
}
