import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { type NDArray, roundToDType } from "../../src/core/ndarray.ts";
import { type GraphNode, Tensor, type Variable } from "../../src/core/op.ts";
import { accumulationBound, compare } from "../../src/core/tolerance.ts";
import { residentImages } from "../../src/data/resident.ts";
import { shapes } from "../../src/data/shapes.ts";
import { reachable, standalone, wholeArena } from "../../src/graph/node.ts";
import type { Program } from "../../src/graph/program.ts";
import { crossEntropy } from "../../src/losses/index.ts";
import { Model } from "../../src/model/model.ts";
import * as nn from "../../src/nn/layers/index.ts";
import { elementBounds } from "../../src/ops/bounds.ts";
import { STATS_SIZE } from "../../src/ops/step/stats.ts";
import { stateOf } from "../../src/optim/minimize.ts";
import { adamW } from "../../src/optim/optimizers.ts";
import { makeRings, type StepParts, trainingProgram } from "../../src/train/step.ts";
import { gpu } from "../support/gpu.ts";

const BATCH = 10;
const SEED = 5;
const STEPS = 5;
/** Values of one channel of the first batch norm. */
const PER_CHANNEL = BATCH * 32 * 32;

const network = () =>
  nn.sequential(
    nn.conv2d({ in: 3, out: 6, kernel: 3, padding: "same" }),
    nn.batchNorm(6),
    nn.relu(),
    nn.maxPool2d(2),
    nn.dropout(0.25),
    nn.conv2d({ in: 6, out: 8, kernel: 3, stride: 2, padding: 1 }),
    nn.batchNorm(8),
    nn.gelu(),
    nn.avgPool2d(2),
    nn.flatten(),
    nn.linear({ in: 8 * 4 * 4, out: 10 }),
  );

const data = shapes({ train: 64, test: 8, seed: 3 }).train;
const optimizer = adamW({ lr: 0.01, weightDecay: 0.05, clipNorm: 1 });

/** A training step with chosen values kept as outputs. */
function setUp(backend: Backend) {
  const model = new Model(backend, network(), { seed: SEED });
  const state = stateOf(optimizer, model);
  const resident = residentImages(backend, data, { mean: [0.5, 0.4, 0.6], std: [0.25, 0.3, 0.2] });
  const order = standalone("order", [data.count], "u32");
  backend.write(
    order,
    Uint32Array.from({ length: data.count }, (_, i) => (i * 7) % data.count),
  );
  const parts: StepParts = {
    model,
    state,
    source: { data: resident, order, batchSize: BATCH },
    lossOf: crossEntropy({ labelSmoothing: 0.1 }),
    metrics: {},
    precision: "f32",
  };
  const { program } = trainingProgram(parts, makeRings({}));
  const feeds = (step: number) => ({
    counters: Uint32Array.of(step, SEED, step * BATCH, step),
    ...state.hyper(step, STEPS),
  });
  return { model, state, program, feeds };
}

type SetUp = ReturnType<typeof setUp>;

/** All tensors of a run's state, in an order that both backends share. */
const variablesOf = ({ model, state }: SetUp): Variable[] => [
  ...model.tensors.parameterArenas.map(wholeArena),
  ...state.parts.flatMap(({ slots }) => slots),
  ...model.tensors.bufferArenas.map(wholeArena),
];

const opNodes = (program: Program) =>
  reachable((program.updates ?? []).map((u) => u.value)).filter((n) => n.op !== null);
const keepAll = (program: Program, nodes: readonly GraphNode[]): Program => ({
  ...program,
  outputs: Object.fromEntries(
    nodes.flatMap((node, n) => node.outputs.map((_, i) => [`${n}.${i}`, new Tensor(node, i)] as const)),
  ),
});

/** Copies one backend's state to the other, so that a step starts from the same float32 numbers. */
async function synchronise(from: SetUp, to: SetUp) {
  const [a, b] = [variablesOf(from), variablesOf(to)];
  for (const [i, variable] of a.entries())
    to.model.device.write(b[i]!, await from.model.device.read(variable));
  from.state.resetStats();
  to.state.resetStats();
}

describe("whole training steps: WebGPU against the CPU reference", () => {
  test("five steps, each from the same float32 state: loss, every gradient and every parameter agree", async () => {
    const device = await gpu();
    const host = cpuBackend();
    const [g, c] = [setUp(device), setUp(host)];
    const pick = (program: Program) =>
      opNodes(program).filter((n) => ["gradientStats", "pack"].includes(n.op!.name));
    const lossNode = (program: Program) =>
      opNodes(program).find((n) => n.op!.name === "gradientStats")!.inputs[1]!;
    const outputs = (program: Program): Program => {
      const kept = keepAll(program, pick(program));
      return { ...kept, outputs: { ...kept.outputs, loss: lossNode(program) } };
    };
    const [gRun, cRun] = [await device.compile(outputs(g.program)), await host.compile(outputs(c.program))];
    // What the sums that make each gradient add up: the reference of its last op on absolute values.
    const magnitude = await host.compile(keepAll(c.program, opNodes(c.program)));
    const gradientNode = opNodes(c.program).find(
      (n) => n.op!.name === "pack" && n.inputs.length === g.model.parameters.length,
    )!;
    const packIndex = pick(c.program).indexOf(gradientNode);

    for (let step = 0; step < STEPS; step++) {
      await synchronise(g, c);
      const before = await Promise.all(variablesOf(g).map((v) => device.read(v)));
      gRun.run(g.feeds(step));
      magnitude.run(c.feeds(step));
      for (const [i, v] of variablesOf(c).entries()) host.write(v, before[i]!);
      c.state.resetStats();
      cRun.run(c.feeds(step));

      const [lossA, lossB] = [(await gRun.fetch("loss")).data[0]!, (await cRun.fetch("loss")).data[0]!];
      // A mean over 10 images of logs of sums over 10 classes, through 11 layers.
      expect(Math.abs(lossA - lossB), `loss at step ${step}: ${lossA} and ${lossB}`).toBeLessThan(
        accumulationBound(BATCH * 10, Math.abs(lossB), 4),
      );

      const [gotAll, wantAll] = [await gRun.fetch(`${packIndex}.0`), await cRun.fetch(`${packIndex}.0`)];
      for (const [i, variable] of c.model.parameters.entries()) {
        const input = gradientNode.inputs[i]!;
        const scale = await summedMagnitude(magnitude, opNodes(c.program), input);
        const end = variable.offset + variable.shape.reduce((x, y) => x * y, 1);
        const length = BATCH * 32 * 32;
        const result = compare(
          gotAll.data.subarray(variable.offset, end),
          wantAll.data.subarray(variable.offset, end),
          (e) => accumulationBound(length, scale(e)),
        );
        expect(result.pass, `step ${step}, gradient of ${variable.name}: ${JSON.stringify(result)}`).toBe(
          true,
        );
      }

      // Given identical gradients, parameters and slots agree under the tolerance of the update kernel itself.
      const update = opNodes(c.program).find(
        (n) => n.op === opNodes(c.program).find((m) => m.op!.name === "adamW")!.op,
      )!;
      const inputs: NDArray[] = [
        { shape: [before[0]!.length], dtype: "f32", data: before[0]! },
        { shape: [before[0]!.length], dtype: "f32", data: gotAll.data },
        { shape: [before[0]!.length], dtype: "f32", data: before[1]! },
        { shape: [before[0]!.length], dtype: "f32", data: before[2]! },
        { shape: [12], dtype: "f32", data: optimizer.hyper(step, STEPS) },
        { shape: [STATS_SIZE], dtype: "f32", data: await device.read(g.state.stats) },
      ];
      const expected = update.op!.reference(inputs, undefined).map(roundToDType);
      const after = await Promise.all(
        variablesOf(g)
          .slice(0, 3)
          .map((v) => device.read(v)),
      );
      after.forEach((got, i) => {
        const result = compare(got, expected[i]!.data, elementBounds(update.op!, { inputs }, expected, i));
        expect(
          result.pass,
          `step ${step}, ${["parameters", "first moments", "second moments"][i]}: ${JSON.stringify(result)}`,
        ).toBe(true);
      });

      // Running statistics: (1 − m)·running + m·batch, from batch statistics that agree within their own tolerance.
      const [ours, theirs] = [
        await device.read(variablesOf(g).at(-1)!),
        await host.read(variablesOf(c).at(-1)!),
      ];
      expect(ours).not.toEqual(before.at(-1));
      const statistics = compare(ours, theirs, (e) =>
        accumulationBound(PER_CHANNEL, Math.abs(theirs[e]!) + 1, 1 / 4),
      );
      expect(statistics.pass, `step ${step}, running statistics: ${JSON.stringify(statistics)}`).toBe(true);
    }
    for (const run of [gRun, cRun, magnitude]) run.dispose();
  });

  test("every kernel of a step, on the very numbers it got, agrees with its reference; fusion changes nothing beyond that", async () => {
    const device = await gpu();
    const { program, feeds } = setUp(device);
    // The updates are left out, so hyperparameters are not fed: their kernels have a test of their own above.
    const nodes = opNodes(program).filter(
      (n) => !n.inputs.some((x) => x.node.leaf?.kind === "feed" && x.node.leaf.name.startsWith("hyper ")),
    );
    // Without the updates: a parameter is then still what the step read when its value is fetched.
    const watched = (list: readonly GraphNode[]) => keepAll({ ...program, updates: [] }, list);
    const unfused = await device.compile(watched(nodes), { fuse: false });
    const variables = new Map<GraphNode, NDArray>();
    const leaves = reachable(nodes.flatMap((n) => n.inputs)).filter((n) => n.leaf);
    for (const node of leaves) {
      const type = node.outputs[0]!;
      if (node.leaf!.kind === "variable")
        variables.set(node, { ...type, data: await device.read(node.leaf!.variable) });
      else if (node.leaf!.kind === "data") variables.set(node, node.leaf!.data);
      else variables.set(node, { ...type, data: feeds(0).counters });
    }
    const { counters } = feeds(0);
    unfused.run({ counters });
    const results = new Map<GraphNode, NDArray[]>();
    for (const [n, node] of nodes.entries())
      results.set(node, await Promise.all(node.outputs.map((_, i) => unfused.fetch(`${n}.${i}`))));
    const found = (x: Tensor) => variables.get(x.node) ?? results.get(x.node)![x.index]!;
    const failures: string[] = [];
    for (const node of nodes) {
      const inputs = node.inputs.map((x) => ({ ...found(x), shape: x.shape }));
      const sample = { inputs, attrs: node.attrs };
      const expected = node.op!.reference(inputs, node.attrs).map(roundToDType);
      expected.forEach((want, i) => {
        const c = compare(
          results.get(node)![i]!.data,
          want.data,
          elementBounds(node.op!, sample, expected, i),
        );
        if (!c.pass)
          failures.push(`${node.op!.name} ${JSON.stringify(node.outputs[i]!.shape)}: ${JSON.stringify(c)}`);
      });
    }
    expect(failures).toEqual([]);

    const packs = nodes.filter((n) => n.op!.name === "pack");
    const fused = await device.compile(watched(packs));
    fused.run({ counters });
    expect(fused.plan.steps.length).toBeLessThan(unfused.plan.steps.length);
    for (const [n, node] of packs.entries()) {
      const [got, want] = [(await fused.fetch(`${n}.0`)).data, results.get(node)![0]!.data];
      const largest = Array.from(want).reduce((m, v) => Math.max(m, Math.abs(v)), 0);
      // A fused chain may contract products and sums: some ulps of the magnitudes that were added.
      const c = compare(got, want, () => accumulationBound(BATCH * 32 * 32, largest / 16));
      expect(c.pass, JSON.stringify(c)).toBe(true);
    }
    unfused.dispose();
    fused.dispose();
  });
});

/**
 * S for a gradient: the reference of the op that made it on the absolute values of its inputs, so that a gradient that
 * cancels (a bias before batch norm) is judged by what was added up.
 */
async function summedMagnitude(
  all: { fetch(name: string): Promise<NDArray> },
  nodes: readonly GraphNode[],
  gradient: Tensor,
): Promise<(i: number) => number> {
  let value = gradient;
  while (value.node.op!.implementation.kind === "view") value = value.node.inputs[0]!;
  const inputs: NDArray[] = [];
  for (const x of value.node.inputs) {
    const at = nodes.indexOf(x.node);
    const data = at >= 0 ? await all.fetch(`${at}.${x.index}`) : undefined;
    inputs.push(
      data
        ? { ...data, shape: x.shape, data: data.data.map(Math.abs) }
        : {
            shape: x.shape,
            dtype: x.dtype,
            data: new Float64Array(x.shape.reduce((a, b) => a * b, 1)).fill(1),
          },
    );
  }
  const op = value.node.op!;
  const tolerance = Array.isArray(op.tolerance)
    ? op.tolerance[Math.min(value.index, op.tolerance.length - 1)]!
    : op.tolerance;
  const scale =
    tolerance.kind === "accumulated" && tolerance.scale
      ? tolerance.scale(inputs, value.node.attrs)[value.index]!
      : op.reference(inputs, value.node.attrs)[value.index]!.data;
  return (i) => Math.abs(scale[i]!);
}
