// Which steps share a submit, and when their metrics are read.
import { afterEach, expect, test, vi } from "vitest";
import type { Backend, Executable } from "../../src/backend/backend.ts";
import type { Profiling } from "../../src/train/profile.ts";
import { makeRings, RING_ROWS } from "../../src/train/step.ts";
import { StepQueue } from "../../src/train/step-queue.ts";

afterEach(() => vi.restoreAllMocks());

/** A queue before a device that is done at once, by a clock that hardly goes, and what happened in order. */
function queue() {
  let now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => {
    now += 0.01;
    return now;
  });
  const log: string[] = [];
  const ring = new Float32Array(4 * RING_ROWS).map((_, i) => i);
  const backend = { read: async () => ring } as unknown as Backend;
  const steps = new StepQueue(backend, makeRings({}), async (finished, pace) => {
    expect(pace.imagesPerSecond).toBeGreaterThan(0);
    log.push(finished.map(({ step, metrics }) => `${step}: ${metrics[0]}`).join(", "));
  });
  const executable = (name: string) =>
    ({
      run: () => log.push(name),
      runMany: (feeds: readonly unknown[]) => log.push(`${feeds.length} ${name}`),
    }) as unknown as Executable;
  const [whole, last] = [executable("whole"), executable("last")];
  const push = (step: number, which = whole, profiling?: Profiling) =>
    steps.push({ step, images: 8 }, which, {}, {}, profiling);
  return { log, steps, push, whole, last };
}

test("the first step is read alone, then quick steps share submits and readings", async () => {
  const { log, steps, push } = queue();
  await push(0);
  expect(log).toEqual(["whole", "0: 0"]);
  for (let step = 1; step < 5; step++) await push(step);
  expect(log.slice(2)).toEqual(["4 whole", "1: 4, 2: 8, 3: 12, 4: 16"]);
  await push(5);
  await steps.finish();
  expect(log.slice(4)).toEqual(["whole", "5: 20"]);
  await steps.finish();
  expect(log).toHaveLength(6);
});

test("steps of another program, and profiled ones, have submits of their own, in order", async () => {
  const { log, steps, push, whole, last } = queue();
  await push(0);
  await push(1);
  await push(2, last);
  const profiling = { run: async () => log.push("profiled") } as unknown as Profiling;
  await push(3, whole, profiling);
  expect(log.slice(2)).toEqual(["whole", "last", "profiled"]);
  await steps.finish();
  expect(log.slice(5)).toEqual(["1: 4, 2: 8, 3: 12"]);
});

test("steps with large feeds go alone at once; the feeds of those that wait are copied", async () => {
  const { log, steps, push } = queue();
  await push(0);
  const given: Float32Array[] = [];
  const executable = {
    run: ({ x }: { x: Float32Array }) => log.push(`one of ${x.length}`),
    runMany: (feeds: readonly { x: Float32Array }[]) => given.push(...feeds.map(({ x }) => x)),
  } as unknown as Executable;
  const small = new Float32Array(2);
  for (let step = 1; step < 3; step++) {
    small.fill(step);
    void steps.push({ step, images: 8 }, executable, {}, { x: small });
  }
  void steps.push({ step: 3, images: 8 }, executable, {}, { x: new Float32Array(40_000) });
  expect(given.map((x) => [...x])).toEqual([
    [1, 1],
    [2, 2],
  ]);
  expect(log.slice(2)).toEqual(["one of 40000"]);
  await steps.finish();
});

test("metrics come from the row of the ring that a step wrote", async () => {
  const { log, push } = queue();
  await push(RING_ROWS + 2);
  expect(log).toEqual(["whole", `${RING_ROWS + 2}: 8`]);
});

test("a short last batch counts into the pace together with the steps before it", async () => {
  // By the device's clock a step takes 10 ms, however few images it has.
  let now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now);
  const backend = { read: async () => new Float32Array(4 * RING_ROWS) } as unknown as Backend;
  const paces: { images: number; imagesPerSecond: number; milliseconds: number }[] = [];
  const steps = new StepQueue(backend, makeRings({}), async (finished, pace) => {
    paces.push({ images: finished.reduce((n, { images }) => n + images, 0), ...pace });
    now += 1000; // what is done with them is none of their time
  });
  const run = (feeds: readonly unknown[]) => {
    now += 10 * feeds.length;
  };
  const executable = { run: () => run([0]), runMany: run } as unknown as Executable;
  for (let step = 0; step < 5; step++) await steps.push({ step, images: 64 }, executable, {});
  await steps.push({ step: 5, images: 4 }, executable, {});
  await steps.finish();
  expect(paces.map(({ images }) => images)).toEqual([64, 256, 4]);
  expect(paces.map(({ imagesPerSecond }) => imagesPerSecond)).toEqual([6400, 6400, 5200]);
  expect(paces.map(({ milliseconds }) => milliseconds)).toEqual([10, 10, 10]);
});
