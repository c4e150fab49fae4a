import type { Backend, Executable } from "../../src/backend/backend.ts";
import { callOp, type Tensor, type Variable } from "../../src/core/op.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { feed, layOut, read, standalone, wholeArena } from "../../src/graph/node.ts";
import { pack } from "../../src/ops/layout/layout.ts";
import { BLOCK } from "../../src/ops/step/rule.ts";
import { STATS_SIZE } from "../../src/ops/step/stats.ts";
import { gradientStats } from "../../src/ops/step/step.ts";
import { type Optimizer, SLOW } from "../../src/optim/optimizer.ts";

/** A step that minimises a cost of one vector with an optimizer's own kernels. */
export async function compileMinimise(
  backend: Backend,
  optimizer: Optimizer,
  start: readonly number[],
  cost: (w: Tensor) => Tensor,
): Promise<{ executable: Executable; variable: Variable; slots: Variable[]; release: () => void }> {
  const { arenas, variables } = layOut("w", [{ name: "w", shape: [start.length] }], 2 ** 20);
  const [arena, variable] = [arenas[0]!, variables[0]!];
  const params = wholeArena(arena);
  const stats = standalone("stats", [STATS_SIZE]);
  const slots = optimizer.slots.map((name) => wholeArena({ ...arena, name }));
  backend.write(variable, Float32Array.from(start));
  slots.forEach((slot, k) => {
    backend.write(slot, new Float32Array(arena.size).fill(optimizer.initial[optimizer.slots[k]!] ?? 0));
    if (optimizer.slots[k] === SLOW) backend.copy(params, slot);
  });
  const w = read(variable);
  const loss = cost(w);
  const packed = pack(gradients(loss, [w]), { offsets: [0], size: arena.size });
  const nextStats = gradientStats(read(stats), loss, [packed]);
  const hyper = feed("hyper", [optimizer.hyperSize]);
  const tensors = standalone("tensors", [1, 2], "u32");
  if (optimizer.byTensors) backend.write(tensors, Uint32Array.of(0, arena.size / BLOCK));
  const results = callOp(optimizer.op, [
    ...[read(params), packed, ...slots.map(read), hyper, nextStats],
    ...(optimizer.byTensors ? [read(tensors)] : []),
  ]);
  const executable = await backend.compile({
    name: "minimise",
    updates: [
      { variable: stats, value: nextStats },
      { variable: params, value: results[0]! },
      ...slots.map((slot, k) => ({ variable: slot, value: results[1 + k]! })),
    ],
  });
  const release = () => {
    executable.dispose();
    for (const v of [variable, stats, tensors, ...slots]) backend.release(v.arena);
  };
  return { executable, variable, slots, release };
}

/**
 * Minimises a cost of one vector with an optimizer's own kernels, and returns the vector after each step, the start
 * first; or what a slot of the optimizer holds for it.
 */
export async function minimise(
  backend: Backend,
  optimizer: Optimizer,
  start: readonly number[],
  cost: (w: Tensor) => Tensor,
  steps: number,
  slot?: string,
  /** Feeds the row as it is before it is rounded to float32. */
  exact = false,
): Promise<number[][]> {
  const { executable, variable, slots, release } = await compileMinimise(backend, optimizer, start, cost);
  const followed = slot ? { ...slots[optimizer.slots.indexOf(slot)]!, shape: variable.shape } : variable;
  const path = slot ? [] : [[...start]];
  for (let step = 0; step < steps; step++) {
    const hyper = exact ? Float64Array.from(optimizer.row(step, steps)) : optimizer.hyper(step, steps);
    executable.run({ hyper: hyper as Float32Array });
    path.push(Array.from(await backend.read(followed)));
  }
  release();
  return path;
}
