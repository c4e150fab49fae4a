// node worker.mjs CONTENDER: one contender in a process of its own. Reads requests from standard input, one JSON object
// a line, and answers each with a line on standard output (run.mjs asks, peers/*.mjs do the work).
import { createInterface } from "node:readline";
import * as gpu from "./gpu.mjs";
import { readTensors } from "./tensors.mjs";

const [module, option] = process.argv[2].split(":");
console.log = console.info = console.error; // standard output is for answers; libraries greet on it
const host = { ...gpu, option, device: () => gpu.device };
let contender;
let job;

const requests = {
  async open() {
    contender = await (await import(`./peers/${module}.mjs`)).open(host);
    return { versions: { ...gpu.versions, ...contender.versions }, adapter: await gpu.adapterFacts() };
  },

  /** Brings inputs to the device, then measures from nothing to the first result on the host. */
  async prepare({ work, file }) {
    job = await contender.prepare(work, file ? readTensors(file) : {});
    const began = performance.now();
    await job.begin?.();
    await job.run();
    const result = await job.result();
    return { ms: performance.now() - began, result };
  },

  /** More steps; the result of the last. */
  async steps({ count }) {
    for (let i = 0; i < count; i++) await runAndWait();
    return { result: await job.result() };
  },

  /** The mean of `repeat` runs up to the moment the GPU has finished, and the time that starting the first one took. */
  async time({ repeat }) {
    const began = performance.now();
    let js;
    for (let i = 0; i < repeat; i++) {
      await job.run();
      js ??= performance.now() - began;
    }
    await job.wait();
    return { ms: (performance.now() - began) / repeat, js };
  },

  count: () => gpu.count(runAndWait),

  memory: () => ({ peak: gpu.memory.peak, dataset: job.datasetBytes ?? 0 }),

  /** By how much resident memory grows over so many steps, or as many as fit the time. */
  async grow({ count, seconds }) {
    globalThis.gc?.();
    const before = process.memoryUsage().rss;
    const end = performance.now() + 1000 * seconds;
    let steps = 0;
    for (; steps < count && performance.now() < end; steps++) await runAndWait();
    globalThis.gc?.();
    return { steps, bytes: process.memoryUsage().rss - before };
  },
};

async function runAndWait() {
  await job.run();
  await job.wait();
}

for await (const line of createInterface({ input: process.stdin })) {
  const { ask, ...rest } = JSON.parse(line);
  let answer;
  try {
    answer = await requests[ask](rest);
    if (gpu.errors.length > 0) throw new Error(gpu.errors[0]);
  } catch (error) {
    answer = { error: error?.stack ?? String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
gpu.device?.destroy();
process.exit(0); // Dawn's objects would keep the process alive
