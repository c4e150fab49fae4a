// What a contender is asked, in a process of Node's or in a page's worker (peers/*.mjs do the work).
import * as meters from "./meters.mjs";

/**
 * Answers requests for the contender whose module `importPeer` gives. `host` says how this place waits for the GPU
 * (`settle`), what it runs on (`versions`, `adapterFacts`), where packages are (`load`), and the memory that it uses
 * (`residentBytes`, where that can be known).
 */
export function answering(importPeer, { option, ...platform }) {
  const host = { ...platform, option, device: () => meters.device };
  let contender;
  let job;

  const requests = {
    async open() {
      contender = await (await importPeer()).open(host);
      return { versions: { ...host.versions, ...contender.versions }, adapter: await host.adapterFacts() };
    },

    /** Brings inputs to the device, then measures from nothing to the first result on the host. */
    async prepare({ work, tensors }) {
      job = await contender.prepare(work, tensors ?? {});
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

    /** What the adapter can do, where the contender can tell. */
    peaks: async () => (await contender.peaks?.()) ?? {},

    count: () => meters.count(runAndWait),

    memory: () => ({ peak: meters.memory.peak, dataset: job.datasetBytes ?? 0 }),

    /** By how much resident memory grows over so many steps, or as many as fit the time. */
    async grow({ count, seconds }) {
      if (!host.residentBytes) return {};
      globalThis.gc?.();
      const before = host.residentBytes();
      const end = performance.now() + 1000 * seconds;
      let steps = 0;
      for (; steps < count && performance.now() < end; steps++) await runAndWait();
      globalThis.gc?.();
      return { steps, bytes: host.residentBytes() - before };
    },
  };

  async function runAndWait() {
    await job.run();
    await job.wait();
  }

  return async ({ ask, ...rest }) => {
    try {
      const answer = await requests[ask](rest);
      if (meters.errors.length > 0) throw new Error(meters.errors[0]);
      return answer;
    } catch (error) {
      return { error: error?.stack ?? String(error) };
    }
  };
}
