/** The types of `node.mjs`, for the tools written in TypeScript. */
export const root: string
export const versions: Readonly<Record<22 | 24, string>>
export function isCurrent(version?: string): boolean
export function ensureNode(major: 22 | 24): string
export function currentNode(): string
export function npm(args: readonly string[], cwd?: string): void
