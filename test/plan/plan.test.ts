import { describe, expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import "../../src/backend/webgpu/dawn.ts";
import { WebGPUBackend } from "../../src/backend/webgpu/backend.ts";
import { openDevice } from "../../src/backend/webgpu/device.ts";
import type { NumericArray } from "../../src/core/dtype.ts";
import { DeviceError } from "../../src/core/errors.ts";
import type { NDArray } from "../../src/core/ndarray.ts";
import type { Tensor } from "../../src/core/op.ts";
import { Random } from "../../src/core/rng.ts";
import { residentImages } from "../../src/data/resident.ts";
import { shapes } from "../../src/data/shapes.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { feed, read, standalone } from "../../src/graph/node.ts";
import * as f from "../../src/ops/f.ts";
import { pack } from "../../src/ops/layout/layout.ts";
import { assignBuffers } from "../../src/plan/memory.ts";
import { compilePlan } from "../../src/plan/plan.ts";
import { printPlan } from "../../src/plan/print.ts";
import { casesOf, compareResults } from "../../src/verify/parity.ts";
import { records } from "../../src/verify/records.ts";
import { gpu } from "../support/gpu.ts";
import { resultsOf } from "../support/ops.ts";

describe("grids past the adapter's limit fold into two dimensions", () => {
  const LIMIT = 7;
  test.each(records.map((op) => [op.name, op] as const))(
    "%s with at most 7 workgroups a dimension",
    async (_, op) => {
      const backend = await gpu();
      const facts = { ...backend.facts, maxWorkgroupsPerDimension: LIMIT };
      let folded = 0;
      for (const parity of casesOf(op)) {
        if (folded >= 2 || parity.sample.inputs.some((x) => x.data.length > 2e5)) continue;
        const plan = compilePlan(parity.program, facts);
        for (const step of plan.steps)
          expect(step.workgroups[0], `${step.kernel}: grid ${step.workgroups}`).toBeLessThanOrEqual(LIMIT);
        if (!plan.steps.some((step) => step.workgroups[1] > 1)) continue;
        folded++;
        const executable = await backend.load(plan);
        executable.run(parity.feeds);
        const results = [];
        for (const name of Object.keys(parity.program.outputs!)) results.push(await executable.fetch(name));
        executable.dispose();
        expect(compareResults(parity, results).message, parity.label).toBeUndefined();
      }
    },
  );
});

test("temporaries that live at the same time never overlap", () => {
  const random = new Random(11);
  for (let round = 0; round < 50; round++) {
    const lifetimes = Array.from({ length: 60 }, () => {
      const first = random.integer(40);
      return { bytes: 4 * (1 + random.integer(1000)), first, last: first + random.integer(8) };
    });
    const apart = (a: number, b: number) => (a + b) % 7 === 0;
    const { places, sizes } = assignBuffers(lifetimes, (a) =>
      [...lifetimes.keys()].filter((b) => apart(a, b)),
    );
    lifetimes.forEach((a, i) => {
      const { slot, offset } = places[i]!;
      expect(offset % 256).toBe(0);
      expect(sizes[slot]).toBeGreaterThanOrEqual(offset + a.bytes);
      lifetimes.forEach((b, k) => {
        if (k <= i || slot !== places[k]!.slot) return;
        expect(apart(i, k)).toBe(false);
        const other = places[k]!.offset;
        const disjoint = offset + a.bytes <= other || other + b.bytes <= offset;
        expect(a.last < b.first || b.last < a.first || disjoint).toBe(true);
      });
    });
    const alive = Array.from({ length: 50 }, (_, at) =>
      lifetimes.filter((l) => l.first <= at && at <= l.last).reduce((n, l) => n + l.bytes, 0),
    );
    const total = sizes.reduce((a, b) => a + b, 0);
    expect(total).toBeGreaterThanOrEqual(Math.max(...alive));
    expect(total).toBeLessThan(lifetimes.reduce((n, l) => n + l.bytes, 0) / 2);
  }
});

test("a variable is read by everyone before an update overwrites it", async () => {
  for (const backend of [await gpu(), cpuBackend()]) {
    const w = standalone("w", [64]);
    const v = standalone("v", [64]);
    backend.write(w, new Float32Array(64).fill(3));
    const old = read(w);
    // Updates may swap: both read the old values.
    const program = {
      name: "swap",
      outputs: { before: f.mul(old, 2) },
      updates: [
        { variable: w, value: f.add(read(v), 1) },
        { variable: v, value: f.square(old) },
      ],
    };
    const executable = await backend.compile(program);
    executable.run();
    expect((await executable.fetch("before")).data[5]).toBe(6);
    expect((await backend.read(w))[5]).toBe(1);
    expect((await backend.read(v))[63]).toBe(9);
    executable.run();
    expect((await backend.read(w))[0]).toBe(10);
    expect((await backend.read(v))[0]).toBe(1);
    executable.dispose();
    backend.release(w.arena);
    backend.release(v.arena);
  }
});

test("one tensor packed twice, a leaf packed, and a packed tensor that others read", async () => {
  for (const backend of [await gpu(), cpuBackend()]) {
    const x = feed("x", [70]);
    const double = f.mul(x, 2);
    const packed = pack([double, x, double, f.add(double, 1)], { offsets: [0, 128, 256, 384], size: 512 });
    const executable = await backend.compile({ name: "pack", outputs: { packed, sum: f.sum(packed) } });
    executable.run({ x: Float32Array.from({ length: 70 }, (_, i) => i) });
    const { data } = await executable.fetch("packed");
    expect([data[69], data[70], data[128 + 69], data[256 + 69], data[384 + 69], data[511]]).toEqual([
      138, 0, 69, 138, 139, 0,
    ]);
    expect((await executable.fetch("sum")).data[0]).toBe(7 * (69 * 35) + 70);
    executable.dispose();
  }
});

test("gradients that are one tensor, and gradients whose kernels read one another, can be packed", async () => {
  for (const backend of [await gpu(), cpuBackend()]) {
    const [x, a, b, c] = [feed("x", [8, 8]), feed("a", [8, 8]), feed("b", [8, 8]), feed("c", [8, 8])];
    const y = f.add(c, f.matmul(f.mul(a, 2), b));
    const loss = f.sum(f.square(f.add(y, f.matmul(x, f.add(a, c)))));
    const [da, dc] = gradients(loss, [a, c]);
    // u and v enter as a sum: their gradients are one value.
    const packed = pack([da, dc, da], { offsets: [0, 64, 128], size: 192 });
    const executable = await backend.compile({ name: "pack", outputs: { packed, da, dc } });
    const random = new Random(5);
    const normals = () => Float32Array.from({ length: 64 }, () => random.normal());
    executable.run({ x: normals(), a: normals(), b: normals(), c: normals() });
    const { data } = await executable.fetch("packed");
    expect(data.slice(0, 64)).toEqual(data.slice(128, 192));
    expect(data.slice(0, 64)).toEqual((await executable.fetch("da")).data);
    expect(data.slice(64, 128)).toEqual((await executable.fetch("dc")).data);
    executable.dispose();

    const only = await backend.compile({
      name: "pack",
      outputs: { packed: pack([da, dc, da], { offsets: [0, 64, 128], size: 192 }) },
    });
    only.run({ x: normals(), a: normals(), b: normals(), c: normals() });
    const again = (await only.fetch("packed")).data;
    expect(again.slice(0, 64)).toEqual(again.slice(128, 192));
    only.dispose();
  }
});

test("a chain of elementwise ops is one dispatch, and without fusion gives the same numbers", async () => {
  const backend = await gpu();
  const [x, b] = [feed("x", [6, 8, 5, 7]), feed("b", [8, 1, 1])];
  const y = f.where(f.greater(f.add(x, b), 0), f.tanh(f.add(x, b)), f.mul(f.exp(x), 0.5));
  const program = { name: "chain", outputs: { y } };
  const random = new Random(3);
  const feeds = {
    x: Float32Array.from({ length: 6 * 8 * 35 }, () => random.normal()),
    b: Float32Array.from({ length: 8 }, () => random.normal()),
  };
  const results: NumericArray[] = [];
  for (const fuse of [true, false]) {
    const executable = await backend.compile(program, { fuse });
    if (fuse) expect(executable.plan.steps.length).toBe(1);
    executable.run(feeds);
    results.push((await executable.fetch("y")).data);
    executable.dispose();
  }
  for (let i = 0; i < results[0]!.length; i++)
    expect(Math.abs(results[0]![i]! - results[1]![i]!)).toBeLessThan(1e-6);
});

test("a data set past the binding limit is split, and batches come out the same", async () => {
  const opened = await openDevice();
  const small = new WebGPUBackend({ ...opened, facts: { ...opened.facts, maxBindingBytes: 3072 * 32 } });
  const host = cpuBackend();
  const { train } = shapes({ train: 100, test: 1 });
  const batches: NDArray[][] = [];
  for (const backend of [small, host]) {
    const data = residentImages(backend, train, { mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4] });
    const { x, y } = data.batch(feed("indices", [7], "u32"));
    const executable = await backend.compile({ name: "batch", outputs: { x, y } });
    if (backend === small) expect(printPlan(executable.plan)).toMatch(/images 32 .*images 64 .*images 96/);
    executable.run({ indices: Uint32Array.of(0, 31, 32, 63, 64, 99, 5) });
    batches.push([await executable.fetch("x"), await executable.fetch("y")]);
    executable.dispose();
    data.release();
  }
  expect(Array.from(batches[0]![1]!.data)).toEqual([0, 1, 2, 3, 4, 9, 5]);
  expect(Array.from(batches[1]![1]!.data)).toEqual([0, 1, 2, 3, 4, 9, 5]);
  batches[0]![0]!.data.forEach((value, i) => {
    expect(Math.abs(value - batches[1]![0]!.data[i]!)).toBeLessThan(2e-6);
  });
  // A tensor that cannot be split says which limit it passes.
  const large = feed("x", [200, 200]);
  await expect(small.compile({ name: "large", outputs: { y: f.exp(large) } })).rejects.toThrow(DeviceError);
  await expect(small.compile({ name: "large", outputs: { y: f.exp(large) } })).rejects.toThrow(
    /exp: .* maxStorageBufferBindingSize .*; use/,
  );
  small.dispose();
});

test("a plan prints its dispatches, kernels, shapes, buffers and peak bytes", async () => {
  const backend = await gpu();
  const x = feed("x", [4, 8]);
  const executable = await backend.compile({
    name: "small",
    outputs: { y: f.softmax(f.add(f.exp(x), feed("b", [8])), { axis: 1 }) },
  });
  const text = printPlan(executable.plan);
  expect(text).toMatch(/^small: 2 dispatches, peak [\d.]+ MB \(temporaries/);
  expect(text).toMatch(/1 {2}elementwise\/exp\+add +\[4, 8\] +grid 1 +feeds feeds\+256 → t0/);
  expect(text).toMatch(/2 {2}softmax\/\w+ +\[4, 8\] +grid 1 +t0 → own0/);
  executable.dispose();
});

test("a result that nobody reads is not stored where a kernel can leave it out", async () => {
  const backend = await gpu();
  const attrs = { kernel: [2, 2], stride: [2, 2], padding: [0, 0] };
  for (const shape of [
    [2, 3, 8, 8],
    [2, 3, 7, 5],
  ]) {
    const [y, index] = resultsOf("maxPool2d", feed("x", shape), attrs);
    const x = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => (i * 37) % 101);
    const results = [];
    const both: Record<string, Tensor> = { y: y!, index: index! };
    for (const outputs of [{ y: y! }, both]) {
      const plan = compilePlan({ name: "pool", outputs }, backend.facts);
      expect(plan.steps[0]!.bindings.length).toBe(1 + Object.keys(outputs).length);
      const executable = await backend.load(plan);
      executable.run({ x });
      results.push((await executable.fetch("y")).data);
      executable.dispose();
    }
    expect(results[0]).toEqual(results[1]);
  }
});
