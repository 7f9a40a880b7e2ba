/** What Ottla calls itself to a broker (KIP-511). A test holds the version and package.json together. */
export const clientSoftware = { name: 'ottla', version: '0.1.0' } as const
