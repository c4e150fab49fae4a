import { describe, expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { NumericArray } from "../../src/core/dtype.ts";
import { roundToDType } from "../../src/core/ndarray.ts";
import { callOp, type GraphNode, type OpRecord, type Tensor } from "../../src/core/op.ts";
import { Random } from "../../src/core/rng.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { feed, kernelContext } from "../../src/graph/node.ts";
import type { Program } from "../../src/graph/program.ts";
import { elementBounds } from "../../src/ops/bounds.ts";
import * as f from "../../src/ops/f.ts";
import { compilePlan, kernelKey, type Plan } from "../../src/plan/plan.ts";
import { casesOf, compareResults, type ParityVariant } from "../../src/verify/parity.ts";
import { records } from "../../src/verify/records.ts";
import { gpu } from "../support/gpu.ts";
import { resultsOf } from "../support/ops.ts";

const random = new Random(17);
const normals = (size: number) => Float32Array.from({ length: size }, () => random.normal());
const kernelOf = (op: OpRecord) => (op.implementation.kind === "kernel" ? op.implementation : undefined);

const CASES_TRIED = 3;

/**
 * How far a kernel may be off whose algorithm adds larger terms than its op: what a chain before it rounds differently
 * weighs as much there as any rounding of its own. For other kernels that is nothing beside what chains may do.
 */
async function algorithmBound(program: Program, node: GraphNode, feeds: any, variant: ParityVariant) {
  if (!variant.magnified) return () => 0;
  const watched = Object.fromEntries(node.inputs.map((value, i) => [`x${i}`, value]));
  const executable = await cpuBackend().compile({
    ...program,
    outputs: { ...program.outputs, ...watched },
  });
  executable.run(feeds);
  const inputs = await Promise.all(Object.keys(watched).map((name) => executable.fetch(name)));
  executable.dispose();
  const expected = node.op!.reference(inputs, node.attrs).map(roundToDType);
  return elementBounds(node.op!, { inputs, attrs: node.attrs }, expected, 0, variant);
}

/**
 * Runs a program with and without fusion; chains may contract a product and a sum, which is an ulp or two. A kernel that
 * gets its inputs as they were fed is compared with its reference too, because parity tests try this adapter's only.
 */
async function compareFused(
  op: OpRecord,
  build: (parity: ReturnType<typeof casesOf>[number]) => { program: any; feeds: any; node: any } | undefined,
) {
  const backend = await gpu();
  // As on a GPU, where chains go into kernels that store in many places too.
  const facts = { ...backend.facts, software: false };
  let inlined = 0;
  /** How often each variant was tried. */
  const tried = new Map<string, number>();
  for (const parity of casesOf(op)) {
    if (parity.sample.inputs.some((x) => x.data.length > 5e4 || x.data.length === 0)) continue;
    const built = build(parity);
    if (!built) continue;
    const { program, feeds, node } = built;
    const raw: Program["outputs"] = parity.program.outputs!.y0!.node === node ? parity.program.outputs! : {};
    for (const variant of parity.variants(facts)) {
      const times = tried.get(variant.name) ?? 0;
      if (times === CASES_TRIED) continue;
      tried.set(variant.name, times + 1);
      const choices = new Map([[kernelKey(node), variant.name]]);
      const results = [];
      for (const fuse of [true, false]) {
        const watched = { ...program, outputs: { ...program.outputs, ...(!fuse && raw) } };
        const executable = await backend.load(compilePlan(watched, facts, { fuse, choices }));
        if (
          fuse &&
          executable.plan.steps.some(
            (step) => /\(|\+/.test(step.kernel) && !step.kernel.startsWith("elementwise"),
          )
        )
          inlined++;
        executable.run(feeds);
        results.push((await executable.fetch("y")).data);
        if (!fuse && raw.y0) {
          const names = Object.keys(raw);
          const own = await Promise.all(names.map((name) => executable.fetch(name)));
          const { message } = compareResults(parity, own, variant.magnified);
          expect(message, `${parity.label} [${variant.name}]`).toBeUndefined();
        }
        executable.dispose();
      }
      const [fused, plain] = results as [Float32Array, Float32Array];
      const bound = await algorithmBound(program, node, feeds, variant);
      for (let i = 0; i < plain.length; i++)
        if (!(Math.abs(fused[i]! - plain[i]!) <= bound(i) + 1e-5 * Math.max(1, Math.abs(plain[i]!))))
          expect.fail(`${parity.label} [${variant.name}]: element ${i} is ${fused[i]}, unfused ${plain[i]}`);
    }
  }
  expect(inlined, "cases that were inlined").toBeGreaterThan(0);
}

/** The outputs of a plan, in the order of its program's. */
async function outputsOf(
  plan: Plan,
  feeds: Record<string, Float32Array<ArrayBuffer>>,
): Promise<NumericArray[]> {
  const executable = await (await gpu()).load(plan);
  executable.run(feeds);
  const arrays: NumericArray[] = [];
  for (const name of plan.outputs.keys()) arrays.push((await executable.fetch(name)).data);
  executable.dispose();
  return arrays;
}

describe("elementwise chains inside kernels give what they give outside", () => {
  test("products, pooling and batch norm store for others; reductions, convolutions, pooling and batch norm load for others", () => {
    const names = (flag: "stores" | "loads" | "reloads") =>
      records.filter((op) => kernelOf(op)?.[flag]).map((op) => op.name);
    expect(names("stores").sort()).toEqual([
      "avgPool2d",
      "avgPool2dGrad",
      "batchNormGrad",
      "conv2d",
      "conv2dInputGrad",
      "gatherImages",
      "matmul",
      "maxPool2d",
      "maxPool2dGrad",
      "maxPool2dPick",
    ]);
    expect(names("reloads").sort()).toEqual(["conv2d", "conv2dInputGrad", "conv2dWeightGrad"]);
    expect(names("loads").sort()).toEqual([
      "batchNormGrad",
      "batchNormStatistics",
      "max",
      "maxPool2d",
      "mean",
      "sum",
    ]);
  });

  const storing = records.filter((op) => kernelOf(op)?.stores);
  test.each(storing.map((op) => [op.name, op] as const))(
    "after %s, every variant: scale, bias along each axis, residual",
    async (_, op) => {
      await compareFused(op, ({ program: { outputs }, feeds }) => {
        const y = outputs!.y0!;
        const shapes = [y.shape.map((d, a) => (a === 1 ? d : 1)), y.shape.slice(-1), y.shape, []];
        const extra = shapes.map((shape, i) => feed(`extra${i}`, shape));
        const [a, b, c, d] = extra as [Tensor, Tensor, Tensor, Tensor];
        const chain = f.relu(f.add(f.add(f.mul(f.add(y, a), 0.5), b), f.mul(c, d)));
        return {
          program: { name: "epilogue", outputs: { y: chain } },
          feeds: {
            ...feeds,
            ...Object.fromEntries(shapes.map((shape, i) => [`extra${i}`, normals(sizeOf(shape))])),
          },
          node: y.node,
        };
      });
    },
  );

  test.each(storing.map((op) => [op.name, op] as const))(
    "%s says how many calls of its text store its result",
    async (_, op) => {
      const { facts } = await gpu();
      let dispatches = 0;
      for (const { program } of casesOf(op))
        for (const software of [true, false])
          for (const variant of kernelOf(op)!.kernel(
            kernelContext(program.outputs!.y0!.node, { ...facts, software }),
          ))
            for (const { kernel, source, bindings, stores = 1 } of variant.dispatches) {
              const result = bindings.find(({ kind, index }) => kind === "output" && index === 0);
              if (!result) continue;
              expect(source.split(`store_${result.name}(`).length - 1, kernel).toBe(stores);
              dispatches++;
            }
      expect(dispatches).toBeGreaterThan(0);
    },
  );

  const loadedBy = (op: OpRecord) => kernelOf(op)?.loads?.[0] ?? kernelOf(op)?.reloads?.[0];
  const loading = records.filter((op) => loadedBy(op) !== undefined);
  test.each(loading.map((op) => [op.name, op] as const))(
    "before %s, every variant: a mask, a scale for each channel, a shift along the last axis",
    async (_, op) => {
      await compareFused(op, ({ sample, feeds }) => {
        const at = loadedBy(op)!;
        const { shape, dtype } = sample.inputs[at]!;
        if (dtype !== "f32") return undefined;
        const inputs = sample.inputs.map((x, i) => feed(`x${i}`, x.shape, x.dtype));
        const mask = feed("mask", shape);
        const scale = feed(
          "scale",
          shape.map((d, axis) => (axis === 1 ? d : 1)),
        );
        const shift = feed("shift", shape.slice(-1));
        inputs[at] = f.where(f.greater(mask, 0), f.add(f.mul(inputs[at] as Tensor, scale), shift), 0);
        const y = callOp(op, [...inputs, sample.attrs])[0]!;
        return {
          program: { name: "prologue", outputs: { y } },
          feeds: {
            ...feeds,
            mask: normals(sizeOf(shape)),
            scale: normals(sizeOf(scale.shape)),
            shift: normals(sizeOf(shift.shape)),
          },
          node: y.node,
        };
      });
    },
  );

  const overwriting = records.filter((op) => kernelOf(op)?.overwrites !== undefined);
  test.each(overwriting.map((op) => [op.name, op] as const))(
    "%s stores its result over an input that nobody else reads, every variant",
    async (_, op) => {
      const backend = await gpu();
      const at = kernelOf(op)!.overwrites!;
      let overwritten = 0;
      for (const { sample, feeds, label, variants } of casesOf(op)) {
        if (sample.inputs.some((x) => x.data.length > 5e4 || x.data.length === 0)) continue;
        const inputs = sample.inputs.map((x, i) => feed(`x${i}`, x.shape, x.dtype));
        inputs[at] = f.cumsum(inputs[at] as Tensor, { axis: 0 });
        const results = callOp(op, [...inputs, sample.attrs]);
        // What is an output has a place of its own.
        const outputs = Object.fromEntries(results.map((y, i) => [`y${i}`, f.cumsum(y, { axis: 0 })]));
        for (const { name } of variants(backend.facts)) {
          const choices = new Map([[kernelKey(results[0]!.node), name]]);
          const [over, beside] = [true, false].map((fuse) =>
            compilePlan({ name: "overwriting", outputs }, backend.facts, { fuse, choices }),
          ) as [Plan, Plan];
          const bound = (plan: Plan) => plan.steps.reduce((n, { bindings }) => n + bindings.length, 0);
          if (bound(over) < bound(beside)) overwritten++;
          expect(await outputsOf(over, feeds as any), `${label} [${name}]`).toEqual(
            await outputsOf(beside, feeds as any),
          );
        }
      }
      expect(overwritten, "results that took an input's place").toBeGreaterThan(0);
    },
  );

  test("a chain that several kernels read is evaluated by each, and gives what it gives when stored", async () => {
    const backend = await gpu();
    const names = ["x", "w", "v", "gamma", "beta"];
    const shapes = [[3, 4, 8, 8], [6, 4, 3, 3], [5, 6, 3, 3], [6], [6]];
    const leaves = names.map((name, i) => feed(name, shapes[i]!));
    const [x, w, v, gamma, beta] = leaves as [Tensor, Tensor, Tensor, Tensor, Tensor];
    const padding = { padding: 1 };
    const [y] = f.batchNorm(f.conv2d(x, w, padding), gamma, beta, { eps: 1e-5 });
    const z = f.conv2d(f.relu(y), v, padding);
    const loss = f.mean(f.square(z));
    const [dw, dv, dgamma] = gradients(loss, [w, v, gamma]);
    const program = { name: "recomputed", outputs: { loss, dw, dv, dgamma } };
    const feeds = Object.fromEntries(names.map((name, i) => [name, normals(sizeOf(shapes[i]!))]));
    const results: NumericArray[][] = [];
    for (const fuse of [true, false]) {
      const plan = compilePlan(program, backend.facts, { fuse });
      const kernels = plan.steps.map((step) => step.kernel).join("\n");
      // The normalised and rectified activations exist only in the unfused plan.
      expect(/^elementwise\/(batchNormApply|relu)/m.test(kernels), kernels).toBe(!fuse);
      if (fuse)
        for (const kernel of ["conv2d", "conv2dWeightGrad", "batchNormGrad"])
          expect(kernels).toMatch(new RegExp(`^${kernel}/\\S*\\(batchNormApply\\+relu`, "m"));
      results.push(await outputsOf(plan, feeds));
    }
    results[0]!.forEach((fused, k) => {
      const plain = results[1]![k]!;
      const scale = Math.max(...Array.from(plain, Math.abs));
      for (let i = 0; i < plain.length; i++)
        expect(Math.abs(fused[i]! - plain[i]!)).toBeLessThanOrEqual(1e-5 * scale);
    });
  });

  test("a convolution leaves the moments of its result for batch norm, tiles cut off and whole", async () => {
    const backend = await gpu();
    // With the memory that every GPU has, the largest tile takes shorter steps.
    const facts = { ...backend.facts, software: false, maxWorkgroupBytes: 16384 };
    const padding = { padding: 1 };
    for (const [x, w, attrs, tiles = []] of [
      [[5, 4, 9, 32], [19, 4, 3, 3], padding, ["workgroup", "workgroup-128"]],
      [[3, 3, 7, 5], [4, 3, 3, 3], padding, ["workgroup"]],
      [[70, 2, 6, 8], [2, 1, 3, 3], { groups: 2 }, ["workgroup-64"]],
      [[2, 3, 5, 10], [70, 3, 1, 1], {}, ["workgroup-128", "workgroup-64", "workgroup"]],
    ] as const)
      for (const choice of ["subgroup", ...tiles]) {
        const y = f.conv2d(feed("x", x), feed("w", w), attrs);
        const [mean, variance, inverse] = resultsOf("batchNormStatistics", y, { eps: 1e-5 });
        const program = {
          name: "moments",
          outputs: { y, mean: mean!, variance: variance!, inverse: inverse! },
        };
        const feeds = { x: normals(sizeOf(x)).map((v) => v + 3), w: normals(sizeOf(w)) };
        const choices = new Map([[kernelKey(y.node), choice]]);
        const results: NumericArray[][] = [];
        for (const fuse of [true, false]) {
          const plan = compilePlan(program, facts, { fuse, choices });
          const kernels = plan.steps.map((step) => step.kernel);
          if (fuse) expect(kernels).toEqual([`conv2d/${choice}`, "batchNorm/merge"]);
          results.push(await outputsOf(plan, feeds));
        }
        results[0]!.forEach((left, k) => {
          const passed = results[1]![k]!;
          for (let i = 0; i < passed.length; i++)
            expect(Math.abs(left[i]! - passed[i]!), `${choice} ${x} ${w}`).toBeLessThanOrEqual(
              1e-5 * Math.max(1, Math.abs(passed[i]!)),
            );
        });
      }
  });
});
