// Compiling lets the event loop turn: whoever waits for a timer or an event need not wait for all shaders.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { PipelineCache } from "../../src/backend/webgpu/pipelines.ts";
import { turn } from "../../src/backend/webgpu/turn.ts";

let now = 1e9; // later than the end of any slice that a test before may have begun
beforeEach(() => vi.spyOn(performance, "now").mockImplementation(() => now));
afterEach(() => {
  vi.restoreAllMocks();
  now += 1e6;
});

/** Notes every turn of the event loop in `events` until it is called. */
function watch(events: string[]): () => void {
  let on = true;
  const tick = () => {
    if (!on) return;
    events.push("turn");
    setImmediate(tick);
  };
  setImmediate(tick);
  return () => {
    on = false;
  };
}

/** Events with runs of turns as one. */
const brief = (events: readonly string[]) =>
  events.filter((e, i) => e !== "turn" || events[i - 1] !== "turn");

test("pieces of work share a slice of time, and the next one begins after a turn of the event loop", async () => {
  const events: string[] = [];
  const stop = watch(events);
  const work = async (name: string, milliseconds: number) => {
    await turn();
    events.push(name);
    now += milliseconds;
  };
  await Promise.all([work("a", 3), work("b", 4), work("c", 30), work("d", 9), work("e", 1), work("f", 1)]);
  stop();
  expect(brief(events)).toEqual(["turn", "a", "b", "c", "turn", "d", "turn", "e", "f"]);
});

test("shaders are handed to the device in slices", async () => {
  const events: string[] = [];
  const device = {
    createShaderModule: ({ label }: GPUShaderModuleDescriptor) => {
      events.push(label!);
      now += 20;
      return { label };
    },
    pushErrorScope: () => {},
    popErrorScope: async () => null,
    createBindGroupLayout: () => ({}),
    createPipelineLayout: () => ({}),
    createComputePipelineAsync: async ({ label }: GPUComputePipelineDescriptor) => ({ label }),
  } as unknown as GPUDevice;
  const cache = new PipelineCache(device);
  const stop = watch(events);
  const names = ["one", "two", "three", "one"];
  const pipelines = await Promise.all(
    names.map((name) => cache.lease(`source of ${name}`, ["read"], name).pipeline),
  );
  stop();
  expect(pipelines.map(({ label }) => label)).toEqual(names);
  expect(brief(events)).toEqual(["turn", "one", "turn", "two", "turn", "three"]);
});
