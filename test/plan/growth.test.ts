import { expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { NumericArray } from "../../src/core/dtype.ts";
import type { Tensor } from "../../src/core/op.ts";
import { Random } from "../../src/core/rng.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { feed, reachable } from "../../src/graph/node.ts";
import { type Program, programRoots } from "../../src/graph/program.ts";
import * as nn from "../../src/nn/index.ts";
import { parametersOf, Trace } from "../../src/nn/module.ts";
import * as f from "../../src/ops/f.ts";
import { compilePlan, type Plan } from "../../src/plan/plan.ts";
import { planBytes } from "../../src/plan/print.ts";
import { gpu } from "../support/gpu.ts";

const [BATCH, INPUTS, HIDDEN] = [5, 12, 20];

/** h ← tanh(x[:, t]·W + h·U), every h compared with a target, with the gradients in W, U, x and the first h. */
function recurrence(length: number): Program {
  const [x, y] = [feed("x", [BATCH, length, INPUTS]), feed("y", [BATCH, length, HIDDEN])];
  const [w, u] = [feed("w", [INPUTS, HIDDEN]), feed("u", [HIDDEN, HIDDEN])];
  const at = (tensor: Tensor, t: number) => {
    const [batch, , size] = tensor.shape as [number, number, number];
    return tensor.slice({ starts: [0, t, 0], ends: [batch, t + 1, size] }).reshape({ shape: [batch, size] });
  };
  const first = feed("h", [BATCH, HIDDEN]);
  let h = first;
  const losses: Tensor[] = [];
  for (let t = 0; t < length; t++) {
    h = at(x, t).matmul(w).add(h.matmul(u)).tanh();
    losses.push(f.mse(h, at(y, t)));
  }
  const loss = losses.reduce((a, b) => a.add(b));
  const [dw, du, dx, dh] = gradients(loss, [w, u, x, first]);
  return { name: "recurrence", outputs: { loss, dw, du, dx, dh } };
}

function feedsOf(length: number): Record<string, NumericArray> {
  const random = new Random(length);
  const shapes = {
    x: [BATCH, length, INPUTS],
    y: [BATCH, length, HIDDEN],
    w: [INPUTS, HIDDEN],
    u: [HIDDEN, HIDDEN],
    h: [BATCH, HIDDEN],
  };
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [
      name,
      Float32Array.from({ length: sizeOf(shape) }, () => 0.3 * random.normal()),
    ]),
  );
}

const shaders = (plan: Plan) => new Set(plan.steps.map((step) => step.source));
const moved = (plan: Plan) => plan.steps.reduce((bytes, step) => bytes + step.bytes, 0);

test("a recurrence written out needs as many shaders at any length, and time and memory that grow with the length", async () => {
  const { facts } = await gpu();
  const plans = [32, 128, 512].map((length) => compilePlan(recurrence(length), facts));
  const [short, middle, long] = plans as [Plan, Plan, Plan];
  for (const plan of plans) expect(shaders(plan).size).toBeLessThanOrEqual(40);
  const quantities = [(p: Plan) => p.steps.length, moved, (p: Plan) => planBytes(p).total];
  for (const quantity of quantities) {
    const perStep = (quantity(middle) - quantity(short)) / (128 - 32);
    expect(quantity(long) - quantity(middle)).toBeLessThanOrEqual(1.02 * perStep * (512 - 128));
  }
  expect(long.steps.length).toBeLessThanOrEqual(14 * 512);
});

test("its gradients are those of the reference, fused or not", async () => {
  const length = 9;
  const program = recurrence(length);
  const feeds = feedsOf(length);
  const reference = await cpuBackend({ precision: "f64" }).compile(program);
  reference.run(feeds);
  const backend = await gpu();
  for (const fuse of [true, false]) {
    const executable = await backend.compile(program, { fuse });
    executable.run(feeds);
    for (const name of Object.keys(program.outputs!)) {
      const { data } = await executable.fetch(name);
      const wanted = (await reference.fetch(name)).data;
      const largest = Math.max(...Array.from(wanted, Math.abs));
      data.forEach((value, i) => {
        expect(Math.abs(value - wanted[i]!) / largest, `${name}[${i}]`).toBeLessThan(1e-5);
      });
    }
    executable.dispose();
  }
});

test("a recurrence of elementwise ops is cut into kernels that are alike", async () => {
  const { facts } = await gpu();
  const [w, b] = [feed("w", [64]), feed("b", [64])];
  const plans = [200, 800].map((length) => {
    let h = feed("x", [8, 64]);
    for (let t = 0; t < length; t++) h = h.mul(w).add(b).tanh();
    return compilePlan({ name: "elementwise", outputs: { h } }, facts);
  });
  for (const plan of plans) expect(shaders(plan).size).toBeLessThanOrEqual(4);
  expect(plans[1]!.steps.length).toBeGreaterThan(3 * plans[0]!.steps.length);
});

test("a graph of thousands of nodes is planned within two seconds", async () => {
  const { facts } = await gpu();
  const layers = (count: number): Program => {
    const params = Array.from({ length: count }, (_, i) => feed(`w${i}`, [16, 16]));
    const y = params.reduce((h, w) => h.add(h.matmul(w).tanh()), feed("x", [4, 16]));
    const grads = gradients(f.sum(y), params);
    return { name: "deep", outputs: Object.fromEntries(grads.map((g, i) => [`g${i}`, g])) };
  };
  const program = layers(700);
  expect(reachable(programRoots(program)).length).toBeGreaterThan(5000);
  const seconds: number[] = [];
  for (let run = 0; run < 3; run++) {
    const begin = performance.now();
    const plan = compilePlan(program, facts);
    seconds.push((performance.now() - begin) / 1000);
    expect(plan.steps.length).toBeGreaterThan(2000);
  }
  // What is asked of 5,000 nodes; a tenth of it is what it takes, see bench/growth.mjs.
  expect(Math.min(...seconds)).toBeLessThan(2);
});

/** A recurrent layer with the gradients of a loss in its input and its tensors. */
function layerOver(length: number, network: nn.Module<any, Tensor>): Program {
  const x = feed("x", [BATCH, length, INPUTS]);
  const tensors = parametersOf(network).map(({ name, spec }) => feed(name, spec.shape));
  const names = tensors.map(({ node: { leaf } }) => (leaf?.kind === "feed" ? leaf.name : ""));
  const parameter = (_: unknown, name: string) => tensors[names.indexOf(name)]!;
  const trace = new Trace(
    network,
    { counters: feed("counters", [4], "u32"), parameter, buffer: parameter },
    true,
  );
  const loss = trace.run(network, x).square().sum();
  const grads = gradients(loss, [x, ...tensors]);
  return { name: "layer", outputs: { loss, ...Object.fromEntries(grads.map((g, i) => [`g${i}`, g])) } };
}

test.each([
  ["rnn", nn.rnn, 8],
  ["gru", nn.gru, 10],
  ["lstm", nn.lstm, 11],
] as const)(
  "the steps of nn.%s share their shaders, and hundreds are planned within two seconds",
  async (_, make, most) => {
    const { facts } = await gpu();
    const network = make({ in: INPUTS, hidden: HIDDEN });
    const short = compilePlan(layerOver(8, network), facts);
    const program = layerOver(512, network);
    const seconds: number[] = [];
    for (let run = 0; run < 2; run++) {
      const begin = process.cpuUsage();
      const long = compilePlan(program, facts);
      const { user, system } = process.cpuUsage(begin);
      seconds.push((user + system) / 1e6);
      // Sums over all steps take a second pass where they are long: of the loss, of the biases' gradients.
      expect(shaders(long).size).toBeLessThanOrEqual(shaders(short).size + 4);
      expect(long.steps.length).toBeLessThanOrEqual(most * 512);
    }
    // Of the processor, so that a busy machine does not count.
    expect(Math.min(...seconds)).toBeLessThan(2);
  },
);

/** The gradient in x of what `cut` makes of it, the reference's beside it. */
async function gradientOf(
  cut: (x: Tensor) => Tensor[],
): Promise<{ plan: Plan; got: NumericArray; want: NumericArray }> {
  const x = feed("x", [3, 8, 4]);
  const pieces = cut(x);
  const loss = pieces.map((piece) => piece.square().sum()).reduce((a, b) => a.add(b));
  const [dx] = gradients(loss, [x]);
  const data = { x: Float32Array.from({ length: 96 }, (_, i) => (i % 13) - 6) };
  const results: NumericArray[] = [];
  const backend = await gpu();
  for (const on of [backend, cpuBackend()]) {
    const executable = await on.compile({ name: "cut", outputs: { dx } });
    executable.run(data);
    results.push((await executable.fetch("dx")).data);
    executable.dispose();
  }
  return {
    plan: compilePlan({ name: "cut", outputs: { dx } }, backend.facts),
    got: results[0]!,
    want: results[1]!,
  };
}

const kernels = (plan: Plan) => plan.steps.map((step) => step.kernel);

test("gradients of slices that tile a tensor are joined, of others added in place", async () => {
  const part = (x: Tensor, from: number, to: number) => x.slice({ starts: [0, from, 0], ends: [3, to, 4] });
  const tiled = await gradientOf((x) => [part(x, 5, 8), part(x, 0, 2), part(x, 2, 5)]);
  expect(Array.from(tiled.got)).toEqual(Array.from(tiled.want));
  expect(kernels(tiled.plan).filter((kernel) => kernel === "concat")).toHaveLength(3);
  const loose = await gradientOf((x) => [part(x, 5, 8), part(x, 0, 2), part(x, 1, 5), x]);
  expect(Array.from(loose.got)).toEqual(Array.from(loose.want));
  expect(kernels(loose.plan).filter((kernel) => kernel === "slice/add")).toHaveLength(3);
  expect(kernels(loose.plan).filter((kernel) => kernel.includes("fill"))).toHaveLength(1);
  const one = await gradientOf((x) => [part(x, 1, 5)]);
  expect(Array.from(one.got)).toEqual(Array.from(one.want));
  expect(kernels(one.plan)).not.toContain("slice/add");
});

test("slices whose starts are known only when they run have such gradients, too", async () => {
  const starts = f.constant({ value: 3, shape: [], dtype: "i32" });
  const moving = await gradientOf((x) => [
    f.dynamicSlice(x, starts, { sizes: [2], axes: [1] }),
    f.dynamicSlice(x, starts.add(9), { sizes: [2], axes: [1] }),
    x.slice({ starts: [0, 0, 0], ends: [3, 1, 4] }),
    x.slice({ starts: [0, 4, 0], ends: [3, 8, 4] }),
  ]);
  expect(Array.from(moving.got)).toEqual(Array.from(moving.want));
  expect(kernels(moving.plan).filter((kernel) => kernel === "slice/add")).toHaveLength(4);
});
