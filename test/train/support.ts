import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { type NDArray, ndarray } from "../../src/core/ndarray.ts";
import { Random } from "../../src/core/rng.ts";
import type { Trainer } from "../../src/train/trainer.ts";
import { gpu } from "../support/gpu.ts";

/** Where tests of training run. */
export const backends: [string, () => Promise<Backend>][] = [
  ["webgpu", gpu],
  ["cpu", async () => cpuBackend()],
];

/** Numbers from −1 to 1. */
export function noise(shape: readonly number[], seed = 1): NDArray {
  const random = new Random(seed);
  const size = shape.reduce((a, b) => a * b, 1);
  return ndarray(
    shape,
    Float32Array.from({ length: size }, () => random.uniform(-1, 1)),
  );
}

/** Class numbers. */
export function labels(count: number, classes: number, seed = 2): NDArray {
  const random = new Random(seed);
  return ndarray(
    [count],
    Array.from({ length: count }, () => random.integer(classes)),
    "i32",
  );
}

/** Rows `from` … `to` − 1 of an array. */
export function rows({ shape, dtype, data }: NDArray, from: number, to: number): NDArray {
  const per = shape.slice(1).reduce((a, b) => a * b, 1);
  return { shape: [to - from, ...shape.slice(1)], dtype, data: data.slice(from * per, to * per) };
}

/** Everything that a run leaves: parameters, running statistics and slots, by name. */
export async function stateOf(trainer: Trainer<any>): Promise<Map<string, number[]>> {
  const { model, optimizer } = await trainer.checkpoint();
  return new Map(
    [...model.tensors, ...optimizer.tensors].map(([name, { data }]) => [name, Array.from(data, Number)]),
  );
}

/** Runs a generator to its end. */
export async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const one of source) list.push(one);
  return list;
}
