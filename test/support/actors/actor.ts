/**
 * Processes that play a part in a demo or a chaos test: started with a configuration, called over IPC, ended by their
 * own id. When the parent dies, however it dies, they end too.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

/** What an actor can be asked to do. Parameters and results travel as JSON. */
export type Handlers = { readonly [name: string]: (params: never) => unknown }

interface Question {
  readonly id: number
  readonly call: string
  readonly params: unknown
}

type FromActor =
  | { readonly id: number; readonly result?: unknown; readonly error?: string }
  | { readonly event: string; readonly data: unknown }

/** The parent's end of one actor. */
export class Actor<H extends Handlers, Events extends object = Record<never, never>> {
  readonly name: string
  readonly exited: Promise<NodeJS.Signals | number>
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  readonly #listeners = new Map<string, (data: never) => void>()
  #lastId = 0
  #ended = false

  /** `script` is run by this Node with the configuration; whatever it prints goes to our stderr. */
  constructor(script: URL, name: string, config: object) {
    this.name = name
    this.#child = fork(script, [JSON.stringify(config)], {
      stdio: ['ignore', 2, 2, 'ipc'],
      execArgv: ['--disable-warning=ExperimentalWarning'],
    })
    this.exited = once(this.#child, 'exit').then(([code, signal]) => {
      this.#end(`${name} ended (${signal ?? code})`)
      return signal ?? code
    })
    this.#child.on('message', (message: FromActor) => this.#hear(message))
    this.#child.on('error', (error) => this.#end(`${name}: ${error.message}`))
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  get running(): boolean {
    return !this.#ended
  }

  call<N extends string & keyof H>(
    call: N,
    ...[params]: Parameters<H[N]>
  ): Promise<Awaited<ReturnType<H[N]>>> {
    if (this.#ended) return Promise.reject(new Error(`${this.name} is not running`))
    const id = ++this.#lastId
    const waiter = Promise.withResolvers<unknown>()
    this.#waiting.set(id, waiter)
    this.#child.send({ id, call, params } satisfies Question, (error) => {
      if (error) this.#settle(id, () => waiter.reject(error))
    })
    return waiter.promise as Promise<Awaited<ReturnType<H[N]>>>
  }

  on<N extends string & keyof Events>(event: N, listener: (data: Events[N]) => void): void {
    this.#listeners.set(event, listener)
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#ended) this.#child.kill(signal)
  }

  /** Ends it at once and waits until it is gone. */
  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.exited
  }

  #hear(message: FromActor): void {
    if ('event' in message) {
      this.#listeners.get(message.event)?.(message.data as never)
      return
    }
    const { id, error, result } = message
    this.#settle(id, (waiter) =>
      error === undefined ? waiter.resolve(result) : waiter.reject(new Error(`${this.name}: ${error}`)),
    )
  }

  #settle(id: number, settle: (waiter: PromiseWithResolvers<unknown>) => void): void {
    const waiter = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (waiter !== undefined) settle(waiter)
  }

  #end(reason: string): void {
    this.#ended = true
    for (const id of [...this.#waiting.keys()]) this.#settle(id, (waiter) => waiter.reject(new Error(reason)))
  }
}

/** The configuration that the parent gave this process. */
export const actorConfig = <T>(): T => JSON.parse(process.argv[2] ?? '{}') as T

/** Tells the parent something without being asked. */
export const tell = (event: string, data: unknown): void => send({ event, data })

/** A parent that is gone hears nothing; then `disconnect` ends this process. */
function send(message: FromActor): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined)
}

/** Answers the parent's calls until it is gone. */
export function serve(handlers: Handlers): void {
  process.on('disconnect', () => process.exit(1))
  // An interrupt typed at the terminal reaches the whole process group; the parent decides what it means.
  process.on('SIGINT', () => undefined)
  process.on('message', async ({ id, call, params }: Question) => {
    let answer: FromActor
    try {
      const handler = handlers[call] as ((params: unknown) => unknown) | undefined
      if (handler === undefined) throw new Error(`there is no call ${call}`)
      answer = { id, result: await handler(params) }
    } catch (error) {
      answer = { id, error: error instanceof Error ? `${error.message}\n${error.stack}` : String(error) }
    }
    send(answer)
  })
  tell('ready', null)
}
