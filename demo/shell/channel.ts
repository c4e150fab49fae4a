/**
 * Typed messages between a page and its worker: the page calls methods and gets promises, the worker emits events.
 *
 * @example
 * // worker.ts: const emit = serve<Events>(methods); export type Api = typeof methods;
 * // page:      const worker = connect<Api, Events>(new Worker(new URL("./worker.ts", import.meta.url), { type: "module" }));
 * //            await worker.call("start", { epochs: 3 }); worker.on("step", (step) => …);
 */
export type Methods = Readonly<Record<string, (argument: any) => unknown>>;

interface Call {
  readonly call: number;
  readonly method: string;
  readonly argument: unknown;
}
interface Answer {
  readonly answer: number;
  readonly value?: unknown;
  readonly error?: { readonly name: string; readonly message: string };
}
/** What this file needs of a worker's global scope, which the page's types lack. */
interface WorkerScope {
  postMessage(message: unknown, transfer?: Transferable[]): void;
  addEventListener(type: "message", listener: (event: MessageEvent<Call>) => void): void;
}
interface Event {
  readonly event: string;
  readonly value: unknown;
}

/** What a worker said went wrong; `name` is the class of the error there, "DataError" for instance. */
export class WorkerError extends Error {
  constructor(
    override readonly name: string,
    message: string,
  ) {
    super(message);
  }
}

/** Buffers in these are handed over rather than copied. */
export class Handover<T> {
  constructor(
    readonly value: T,
    readonly buffers: Transferable[],
  ) {}
}

const unpack = (value: unknown): [unknown, Transferable[]] =>
  value instanceof Handover ? [value.value, value.buffers] : [value, []];

/** In a worker: answers calls, one at a time per call but several in flight; the result emits events. */
export function serve<Events>(
  methods: Methods,
): <K extends keyof Events & string>(event: K, value: Events[K] | Handover<Events[K]>) => void {
  const scope = self as unknown as WorkerScope;
  scope.addEventListener("message", async ({ data }) => {
    const reply = (answer: Answer, buffers: Transferable[] = []) => scope.postMessage(answer, buffers);
    try {
      const method = methods[data.method];
      if (!method) throw new Error(`The worker has no method "${data.method}".`);
      const [value, buffers] = unpack(await method(data.argument));
      reply({ answer: data.call, value }, buffers);
    } catch (error) {
      const { name, message } = error instanceof Error ? error : { name: "Error", message: String(error) };
      reply({ answer: data.call, error: { name, message } });
    }
  });
  return (event, value) => {
    const [content, buffers] = unpack(value);
    scope.postMessage({ event, value: content } satisfies Event, buffers);
  };
}

type ArgumentOf<F> = F extends (argument: infer A) => unknown ? A : never;
type ResultOf<F> = F extends (argument: any) => infer R
  ? Awaited<R> extends Handover<infer T>
    ? T
    : Awaited<R>
  : never;

export interface Channel<Api extends Methods, Events> {
  call<K extends keyof Api & string>(
    method: K,
    ...argument: undefined extends ArgumentOf<Api[K]> ? [] : [ArgumentOf<Api[K]>, Transferable[]?]
  ): Promise<ResultOf<Api[K]>>;
  on<K extends keyof Events & string>(event: K, listener: (value: Events[K]) => void): void;
  /** Ends the worker; calls in flight are rejected. */
  close(): void;
}

/** On a page: the worker's methods and events. */
export function connect<Api extends Methods, Events>(worker: Worker): Channel<Api, Events> {
  const waiting = new Map<number, { resolve: (value: any) => void; reject: (error: Error) => void }>();
  const listeners = new Map<string, ((value: any) => void)[]>();
  let calls = 0;
  const failAll = (message: string) => {
    for (const { reject } of waiting.values()) reject(new WorkerError("WorkerError", message));
    waiting.clear();
  };
  worker.addEventListener("message", ({ data }: MessageEvent<Answer | Event>) => {
    if ("event" in data) {
      for (const listener of listeners.get(data.event) ?? []) listener(data.value);
      return;
    }
    const call = waiting.get(data.answer);
    waiting.delete(data.answer);
    if (data.error) call?.reject(new WorkerError(data.error.name, data.error.message));
    else call?.resolve(data.value);
  });
  worker.addEventListener("error", (event) =>
    failAll(event.message || "The page's worker did not start; reload the page."),
  );
  return {
    call(method, ...[argument, buffers]: [unknown?, Transferable[]?]) {
      return new Promise((resolve, reject) => {
        const call = ++calls;
        waiting.set(call, { resolve, reject });
        worker.postMessage({ call, method, argument } satisfies Call, buffers ?? []);
      });
    },
    on(event, listener) {
      listeners.set(event, [...(listeners.get(event) ?? []), listener]);
    },
    close() {
      worker.terminate();
      failAll("The worker was stopped.");
    },
  };
}
