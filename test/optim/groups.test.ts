// Groups of parameters: which belong together, their own numbers, and updates of scattered blocks of one arena.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { OptionError } from "../../src/core/errors.ts";
import { callOp, type Tensor } from "../../src/core/op.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { feed, layOut, read, standalone, wholeArena } from "../../src/graph/node.ts";
import type { Update } from "../../src/graph/program.ts";
import * as f from "../../src/ops/f.ts";
import { pack } from "../../src/ops/layout/layout.ts";
import { BLOCK, COMMON } from "../../src/ops/step/rule.ts";
import { STATS_SIZE } from "../../src/ops/step/stats.ts";
import { gradientStats } from "../../src/ops/step/step.ts";
import { adam, adamW, type Group, type Optimizer, sgd } from "../../src/optim/index.ts";
import { partition } from "../../src/optim/optimizer.ts";
import { gpu } from "../support/gpu.ts";
import { minimise } from "../support/minimise.ts";

const NAMES = ["0.weight", "0.bias", "1.0.weight", "1.0.bias", "1.1.weight", "head.weight", "alpha"];

const grouped = (...groups: Group[]) => sgd({ lr: 0.1, groups });
const namesOf = (...groups: Group[]) =>
  partition(grouped(...groups), NAMES).map(({ group, members }) => [
    group?.match,
    members.map((i) => NAMES[i]),
  ]);

describe("partition", () => {
  test("without groups all belong together", () => expect(namesOf()).toEqual([[undefined, NAMES]]));

  test.each([
    ["0.**", ["0.weight", "0.bias"]],
    ["1.**", ["1.0.weight", "1.0.bias", "1.1.weight"]],
    ["1.*", undefined],
    ["1.*.weight", ["1.0.weight", "1.1.weight"]],
    ["*.bias", ["0.bias"]],
    ["**.bias", ["0.bias", "1.0.bias"]],
    ["**", NAMES],
    ["*", ["alpha"]],
    ["**.alpha", ["alpha"]],
    ["head.w*t", ["head.weight"]],
    ["0.weight", ["0.weight"]],
    ["0+weight", undefined],
  ])('"%s"', (match, members) => {
    if (members) expect(namesOf({ match })[0]).toEqual([match, members]);
    else
      expect(() => namesOf({ match })).toThrow(
        `sgd: the group "${match}" matches no parameter; the parameters are 0.weight, 0.bias, 1.0.weight, 1.0.bias, 1.1.weight, head.weight, … (7).`,
      );
  });

  test("the first match wins, frozen ones are left out, the rest comes last", () => {
    expect(namesOf({ match: "0.**", frozen: true }, { match: "**.bias" }, { match: "head.*" })).toEqual([
      ["**.bias", ["1.0.bias"]],
      ["head.*", ["head.weight"]],
      [undefined, ["1.0.weight", "1.1.weight", "alpha"]],
    ]);
    expect(namesOf({ match: "**", frozen: true })).toEqual([]);
  });

  test("a group that others leave nothing to is an error", () => {
    const make = () => namesOf({ match: "**.bias" }, { match: "0.bias" });
    expect(make).toThrow(OptionError);
    expect(make).toThrow(
      'sgd: all parameters that the group "0.bias" matches belong to groups before it; put it before them.',
    );
  });
});

describe("a group's row", () => {
  const at = (name: string) => COMMON.indexOf(name);

  test("has its own numbers where it says so", () => {
    const optimizer = adamW({
      lr: (step) => 1 / (step + 1),
      betas: [0.5, 0.75],
      clipNorm: 2,
      groups: [
        { match: "a", weightDecay: 0, betas: [0.25, 0.875] },
        { match: "b", lr: 0.125 },
      ],
    });
    const [a, b] = optimizer.groups;
    const [base, own] = [optimizer.hyper(1, 4), optimizer.hyper(1, 4, a)];
    expect(base.length).toBe(optimizer.hyperSize);
    expect(base[at("weightDecay")]).toBe(Math.fround(0.01));
    expect(own[at("weightDecay")]).toBe(0);
    expect([own[at("lr")], own[at("maxNorm")]]).toEqual([0.5, 2]);
    // β₁, β₂, 1 − β₁, 1 − β₂, 1 − β₁², 1 − β₂²
    expect([...base.slice(COMMON.length, -1)]).toEqual([0.5, 0.75, 0.5, 0.25, 0.75, 0.4375]);
    expect([...own.slice(COMMON.length, -1)]).toEqual([0.25, 0.875, 0.75, 0.125, 0.9375, 0.234375]);
    expect(optimizer.rate(3, 4)).toBe(0.25);
    expect(optimizer.rate(3, 4, b)).toBe(0.125);
  });

  test("momentum in a group alone gives all a velocity", () => {
    const optimizer = sgd({ lr: 1, groups: [{ match: "a", momentum: 0.5 }] });
    expect(optimizer.slots).toEqual(["momentum_buffer"]);
    expect(optimizer.hyper(0, 1).at(-1)).toBe(0);
    expect(optimizer.hyper(0, 1, optimizer.groups[0]).at(-1)).toBe(0.5);
  });
});

/** Parameters in one arena, in blocks that groups share out among themselves. */
const SHAPES = [
  { name: "a.weight", shape: [100] },
  { name: "b.weight", shape: [64] },
  { name: "a.bias", shape: [10] },
  { name: "c.weight", shape: [70] },
  { name: "b.bias", shape: [3] },
];
const startOf = (size: number, i: number) =>
  Array.from({ length: size }, (_, k) => Math.sin(1 + 7 * i + k) * 2);
const cost = (w: Tensor) => f.sum(f.square(f.add(f.mul(w, w), w)));

/** Trains the parameters by groups, each over compact arenas of its own. */
async function trainGroups(backend: Backend, optimizer: Optimizer, steps: number, look = false) {
  const { arenas, variables } = layOut("parameters", SHAPES, 2 ** 20);
  const [arena] = arenas;
  const params = wholeArena(arena!);
  for (const [i, v] of variables.entries()) backend.write(v, Float32Array.from(startOf(v.shape[0]!, i)));
  const stats = standalone("stats", [STATS_SIZE]);
  const parts = partition(
    optimizer,
    SHAPES.map(({ name }) => name),
  ).map(({ group, members }, g) => {
    const compact = layOut(
      `group ${g}`,
      members.map((i) => SHAPES[i]!),
      2 ** 20,
    );
    const blocks = members.flatMap((i) =>
      Array.from(
        { length: Math.ceil(SHAPES[i]!.shape[0]! / BLOCK) },
        (_, k) => variables[i]!.offset / BLOCK + k,
      ),
    );
    const table = standalone(`blocks ${g}`, [blocks.length], "u32");
    backend.write(table, Uint32Array.from(blocks));
    const slots = optimizer.slots.map((slot) =>
      wholeArena({ ...compact.arenas[0]!, name: `${slot} of group ${g}` }),
    );
    return { group, members, compact, table, slots, feed: `hyper ${g}` };
  });
  const loss = variables.map((v) => cost(read(v))).reduce((sum, one) => sum.add(one));
  const trained = parts.flatMap(({ members }) => members);
  const grads = gradients(
    loss,
    trained.map((i) => read(variables[i]!)),
  );
  const packed = parts.map(({ members, compact }) =>
    pack(
      members.map((i) => grads[trained.indexOf(i)]!),
      { offsets: compact.variables.map((v) => v.offset), size: compact.arenas[0]!.size },
    ),
  );
  const nextStats = gradientStats(read(stats), loss, packed);
  const updates: Update[] = [{ variable: stats, value: nextStats }];
  let current = read(params);
  let between = current;
  parts.forEach(({ table, slots, feed: row }, g) => {
    const inputs = [current, packed[g]!, ...slots.map(read), feed(row, [optimizer.hyperSize]), nextStats];
    const results = callOp(optimizer.op, [...inputs, read(table)]);
    current = results[0]!;
    if (g === 0) between = current;
    slots.forEach((slot, k) => {
      updates.push({ variable: slot, value: results[1 + k]! });
    });
  });
  updates.push({ variable: params, value: current });
  const executable = await backend.compile({
    name: "groups",
    updates,
    ...(look && { outputs: { between } }),
  });
  for (let step = 0; step < steps; step++)
    executable.run(
      Object.fromEntries(parts.map(({ group, feed: row }) => [row, optimizer.hyper(step, steps, group)])),
    );
  const seen = look ? Array.from((await executable.fetch("between")).data) : [];
  const values: number[][] = [];
  for (const v of variables) values.push(Array.from(await backend.read(v)));
  const kernels = executable.plan.steps.map((step) => step.kernel);
  executable.dispose();
  for (const v of [params, stats, ...parts.flatMap(({ slots, table }) => [...slots, table])])
    backend.release(v.arena);
  return { values, kernels, seen };
}

const backends: [string, () => Promise<Backend>][] = [
  ["webgpu", gpu],
  ["cpu", async () => cpuBackend()],
];

describe.each(backends)("groups of one arena on %s", (_, open) => {
  test("each goes its own way bit for bit, frozen ones stay, and nothing is copied", async () => {
    const backend = await open();
    const base = { lr: 0.01, weightDecay: 0.125, ema: { decay: 0.5 } };
    const optimizer = adam({
      ...base,
      groups: [
        { match: "c.*", frozen: true },
        { match: "*.bias", weightDecay: 0 },
        { match: "a.*", lr: (step) => 0.02 / (step + 1), betas: [0.5, 0.75] },
      ],
    });
    const { values, kernels } = await trainGroups(backend, optimizer, 4);
    const alone = [
      adam({ ...base, lr: (step) => 0.02 / (step + 1), betas: [0.5, 0.75] }),
      adam(base),
      adam({ ...base, weightDecay: 0 }),
      undefined,
      adam({ ...base, weightDecay: 0 }),
    ];
    for (const [i, { name, shape }] of SHAPES.entries()) {
      const start = startOf(shape[0]!, i);
      const own = alone[i];
      const expected = own
        ? (await minimise(backend, own, start, cost, 4)).at(-1)!
        : Array.from(Float32Array.from(start));
      expect(values[i], name).toEqual(expected);
    }
    expect(kernels.filter((kernel) => kernel.startsWith("adam"))).toEqual(
      kernels.length > 0 ? new Array(3).fill("adam/average/blocks") : [],
    );
    expect(kernels.filter((kernel) => kernel.includes("copy"))).toEqual([]);
  });

  test("what is seen between two groups' updates is what it was then", async () => {
    const backend = await open();
    const optimizer = sgd({ lr: 0.25, momentum: 0.5, groups: [{ match: "a.*", lr: 0.125 }] });
    const { values } = await trainGroups(backend, optimizer, 2);
    const before = await trainGroups(backend, optimizer, 1);
    const { values: again, seen } = await trainGroups(backend, optimizer, 2, true);
    expect(again).toEqual(values);
    // The first group has taken its second step, the rest has not.
    expect(seen.slice(0, 100)).toEqual(values[0]);
    expect(seen.slice(128, 192)).toEqual(before.values[1]);
  });
});
