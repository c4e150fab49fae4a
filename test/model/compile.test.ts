// Compiled functions: what goes in, what comes out, what goes wrong.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { checkElements } from "../../src/core/check.ts";
import type { DType } from "../../src/core/dtype.ts";
import { ndarray } from "../../src/core/ndarray.ts";
import type { Tensor } from "../../src/core/op.ts";
import { standalone } from "../../src/graph/node.ts";
import { compile, evaluate } from "../../src/model/compile.ts";
import { Model } from "../../src/model/model.ts";
import { tensor } from "../../src/model/program.ts";
import { bool, f32, i32, u8, u32 } from "../../src/model/tracing.ts";
import { linear } from "../../src/nn/layers/index.ts";
import { sgd } from "../../src/optim/optimizers.ts";
import { cosine } from "../../src/optim/schedules.ts";
import { gpu } from "../support/gpu.ts";

const devices: [name: string, open: () => Promise<Backend>][] = [
  ["adapter", gpu],
  ["CPU reference", async () => cpuBackend()],
];

const square = ({ x }: { x: Tensor }) => x.square();

describe.each(devices)("on the %s", (_, open) => {
  test("takes numbers, nested arrays, flat ones and arrays with shapes", async () => {
    const device = await open();
    const run = compile(device, { x: f32(2, 2) }, square);
    const given = [
      [
        [1, 2],
        [3, 4],
      ],
      [Float32Array.of(1, 2), [3, 4]],
      Float32Array.of(1, 2, 3, 4),
      ndarray([2, 2], [1, 2, 3, 4]),
    ];
    for (const x of given) {
      const y = await run({ x: x as number[][] });
      expect(await y.read()).toEqual({ shape: [2, 2], dtype: "f32", data: Float32Array.of(1, 4, 9, 16) });
    }
    const scalar = compile(device, f32(), (x) => ({ y: x.mul(2) }));
    expect(await (await scalar(21)).y.item()).toBe(42);
    await run.dispose();
    await scalar.dispose();
  });

  test("trees of inputs and outputs keep their form", async () => {
    const device = await open();
    const inputs = { pair: [f32(2), i32(2)], "a.b": f32(1), unused: f32(3) } as const;
    const run = compile(device, inputs, ({ pair, "a.b": dotted }) => ({
      outputs: { list: [pair[0].mul(2), { whole: pair[1] }] as const, dotted: dotted.neg() },
    }));
    const result = await run({
      pair: [
        [1, 2],
        [3, 4],
      ],
      "a.b": [5],
      unused: [0, 0, 0],
    });
    const { list, dotted } = result;
    expect([...(await list[0].read()).data]).toEqual([2, 4]);
    expect(await list[1].whole.read()).toEqual({ shape: [2], dtype: "i32", data: Int32Array.of(3, 4) });
    expect(await dotted.item()).toBe(-5);
    await run.dispose();
  });

  test("a result is another function's input, and a function's own next one", async () => {
    const device = await open();
    const double = compile(device, { x: f32(3) }, ({ x }) => ({ y: x.mul(2) }));
    const add = compile(device, { a: f32(3), b: f32(3) }, ({ a, b }) => ({ sum: a.add(b) }));
    const first = await double({ x: [1, 2, 3] });
    const { sum } = await add({ a: first.y, b: [1, 1, 1] });
    expect([...(await sum.read()).data]).toEqual([3, 5, 7]);
    const again = await double({ x: (await double({ x: first.y })).y });
    expect([...(await again.y.read()).data]).toEqual([8, 16, 24]);
    const model = new Model(device, linear({ in: 3, out: 1, bias: false }));
    model.tensor("weight").write([1, 2, 3]);
    const weigh = compile(device, { w: f32(1, 3) }, ({ w }) => ({ w: w.sum() }));
    expect(await (await weigh({ w: model.tensor("weight") })).w.item()).toBe(6);
    for (const run of [double, add, weigh]) await run.dispose();
    await model.dispose();
  });

  test("a handle that was overwritten says so", async () => {
    const device = await open();
    const run = compile(device, { x: f32(1) }, function named({ x }) {
      return { y: x.mul(2) };
    });
    const first = await run({ x: [1] });
    const pending = first.y.read(); // under way before the next run
    const second = await run({ x: [2] });
    expect([...(await pending).data]).toEqual([2]);
    await expect(first.y.read()).rejects.toThrow(
      'named: the result "y" of run 1 was overwritten by run 2; read it before the next run.',
    );
    await expect(run({ x: first.y })).rejects.toThrow(/was overwritten by run 2/);
    expect(await second.y.item()).toBe(4);
    await run.dispose();
    await expect(second.y.read()).rejects.toThrow("named was disposed of; compile it again.");
    await expect(run({ x: [1] })).rejects.toThrow("named was disposed of; compile it again.");
    await run.dispose();
  });

  test("outputs are what they were before the updates of the run", async () => {
    const device = await open();
    const model = new Model(device, linear({ in: 1, out: 1, bias: false }));
    const weight = model.tensor("weight");
    weight.write([3]);
    const value = (t: Parameters<typeof model.pass>[1]) => model.forward(tensor([[1]]), t);
    const { variable } = weight;
    const run = compile(device, {}, (_, t) => {
      const y = value(t);
      return { outputs: { y }, updates: { variable, value: y.mul(2) } };
    });
    const { y } = await run({});
    expect(await y.item()).toBe(3);
    expect([...(await weight.read()).data]).toEqual([6]);
    await run.dispose();
    await model.dispose();
  });

  test("evaluates trees, leaves and constants, once", async () => {
    const device = await open();
    const a = tensor([
      [1, 2],
      [3, 4],
    ]);
    const result = await evaluate(device, { product: a.matmul(a), parts: [a.sum(), a] });
    expect([...result.product.data]).toEqual([7, 10, 15, 22]);
    expect([...result.parts[0]!.data]).toEqual([10]);
    expect([...result.parts[1]!.data]).toEqual([1, 2, 3, 4]);
    expect([...(await evaluate(device, tensor(7))).data]).toEqual([7]);
    expect([...(await evaluate(device, tensor([1, 0], { dtype: "i32" }).add(1))).data]).toEqual([2, 1]);
  });

  test("runs that are started together keep their order", async () => {
    const device = await open();
    const run = compile(device, { x: f32(1) }, ({ x }) => ({ y: x.mul(2) }));
    const both = await Promise.allSettled([1, 2].map(async (x) => (await run({ x: [x] })).y.item()));
    expect(both.map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
    expect((both[1] as PromiseFulfilledResult<number>).value).toBe(4);
    await run.dispose();
  });
});

describe("what goes wrong is one sentence", () => {
  const cpu = cpuBackend();
  const run = compile(
    cpu,
    { x: f32(2), pair: [f32(1), { deep: i32() }] } as const,
    ({ x }) => ({ y: x.neg() }),
    {
      name: "step",
    },
  );
  test.each<[unknown, string]>([
    [{}, 'step: the input "x" is missing; give f32[2].'],
    [undefined, 'step: the input "x" is missing; give f32[2].'],
    [{ x: [1, 2, 3] }, 'step: the input "x" has the shape [3]; it was declared as f32[2].'],
    [{ x: new Float32Array(3) }, 'step: the input "x" has 3 numbers; f32[2] has 2.'],
    [
      { x: [[1], [2, 3]] },
      'step: the input "x" is ragged: its element 0 has the shape [1] and element 1 the shape [2]; make all rows alike.',
    ],
    [{ x: [1, "2"] }, 'step: the input "x": element 1 is a string; give numbers, nested in arrays or not.'],
    [{ x: "12" }, 'step: the input "x" is a string; give numbers for f32[2].'],
    [{ x: Promise.resolve([1, 2]) }, 'step: the input "x" is a promise; give numbers for f32[2].'],
    [
      { x: { shape: [2], dtype: "f32", data: new Float32Array(3) } },
      'step: the input "x" has 3 numbers; f32[2] has 2.',
    ],
    [
      { x: [1, 2], pair: [[1], { deep: [1] }] },
      'step: the input "pair.1.deep" has the shape [1]; it was declared as i32[].',
    ],
    [{ x: [1, 2], pair: [[1], {}] }, 'step: the input "pair.1.deep" is missing; give i32[].'],
    [{ x: [1, 2], y: 3 }, 'step: there is no input "y"; it was declared with x, pair.'],
    [
      { x: [1, 2], pair: [[1], { deep: 1, deeper: 2 }] },
      'step: there is no input "pair.1.deeper"; "pair.1" was declared with deep.',
    ],
  ])("inputs %j", async (given, message) => {
    await expect(run(given as never)).rejects.toThrow(message);
  });

  const types = { i: i32(2), u: u32(2), b: u8(2), flags: bool(2), x: f32(2) };
  const good: Record<string, unknown> = {
    i: [1, -1],
    u: [0, 1],
    b: [0, 1],
    flags: [true, 0],
    x: [1.5, Number.NaN],
  };
  const WHOLE = {
    i: "i32; give whole numbers from -2147483648 to 2147483647.",
    u: "u32; give whole numbers from 0 to 4294967295.",
    b: "u8; give whole numbers from 0 to 255.",
    flags: "bool; give whole numbers from 0 to 1.",
  };
  const typed = compile(cpu, types, (inputs) => ({ ...inputs }), { name: "step" });
  const array = (dtype: DType, ...data: number[]) => ({ shape: [2], dtype, data: Float64Array.from(data) });
  test.each<[keyof typeof types, unknown, string]>([
    ["i", [0, 1.7], `step: the input "i" holds 1.7, as its number 1, and is ${WHOLE.i}`],
    ["i", [Number.NaN, 0], `step: the input "i" holds NaN, as its number 0, and is ${WHOLE.i}`],
    [
      "i",
      Float32Array.of(0, 3e10),
      `step: the input "i" holds 30000001024, as its number 1, and is ${WHOLE.i}`,
    ],
    [
      "i",
      Uint32Array.of(0, 2 ** 31),
      `step: the input "i" holds 2147483648, as its number 1, and is ${WHOLE.i}`,
    ],
    ["i", array("i32", 0.5, 0), `step: the input "i" holds 0.5, as its number 0, and is ${WHOLE.i}`],
    ["i", ndarray([2], [1, 2]), 'step: the input "i" is f32[2]; it was declared as i32[2].'],
    ["i", [true, 1], 'step: the input "i": element 0 is a boolean; give numbers, nested in arrays or not.'],
    ["i", BigInt64Array.of(1n, 2n), 'step: the input "i" is an array of bigints; give numbers for i32[2].'],
    ["u", Int32Array.of(-1, 0), `step: the input "u" holds -1, as its number 0, and is ${WHOLE.u}`],
    ["b", [256, 0], `step: the input "b" holds 256, as its number 0, and is ${WHOLE.b}`],
    [
      "b",
      Float32Array.of(0, Number.POSITIVE_INFINITY),
      `step: the input "b" holds Infinity, as its number 1, and is ${WHOLE.b}`,
    ],
    ["flags", [2, 0], `step: the input "flags" holds 2, as its number 0, and is ${WHOLE.flags}`],
    ["flags", Uint8Array.of(0, 3), `step: the input "flags" holds 3, as its number 1, and is ${WHOLE.flags}`],
    ["x", ndarray([2], [1, 2], "i32"), 'step: the input "x" is i32[2]; it was declared as f32[2].'],
  ])("an input %s of another dtype: %o", async (name, value, message) => {
    await expect(typed({ ...good, [name]: value } as never)).rejects.toThrow(message);
  });

  test("numbers that a dtype holds are taken, whatever they come in", async () => {
    const read = async (given: Record<string, unknown>) => {
      const results = await typed({ ...good, ...given } as never);
      return Promise.all(
        (["i", "u", "b", "flags"] as const).map(async (name) => [...(await results[name].read()).data]),
      );
    };
    expect(await read({})).toEqual([
      [1, -1],
      [0, 1],
      [0, 1],
      [1, 0],
    ]);
    const flat = {
      i: Float32Array.of(1, -1),
      u: Float64Array.of(0, 1),
      b: [0, 1],
      flags: Uint8Array.of(1, 0),
    };
    expect(await read(flat)).toEqual(await read({}));
    const arrays = {
      i: array("i32", 1, -1),
      u: array("u32", 0, 1),
      b: array("u8", 0, 1),
      flags: array("bool", 1, 0),
    };
    expect(await read(arrays)).toEqual(await read({}));
    // An array whose type fits is not gone through.
    const unread = new Proxy(Int32Array.of(1, -1), {
      get: (it, key) => (key === "0" ? expect.fail() : Reflect.get(it, key, it)),
    });
    expect(() => checkElements("it", unread, "i32")).not.toThrow();
    expect(() => tensor([1.7], { dtype: "i32" })).toThrow(
      /^tensor holds 1.7, as its number 0, and is i32; give/,
    );
    expect(tensor([true, false], { dtype: "bool" }).dtype).toBe("bool");
  });

  test("traces that cannot be compiled", () => {
    let leaked: Tensor | undefined;
    compile(cpu, { x: f32(2) }, ({ x }) => ({ y: (leaked = x).neg() }));
    const attempt = (trace: (inputs: { x: Tensor }) => unknown, message: RegExp | string) =>
      expect(() => compile(cpu, { x: f32(2) }, trace as never, { name: "step" })).toThrow(message);
    // Another function's input of the same name and shape is no input of this one.
    attempt(
      () => ({ y: leaked!.mul(2) }),
      'step: depends on "x", which is not among its inputs (x); declare it',
    );
    attempt(() => undefined, "step: the traced function gives undefined; return tensors");
    attempt(async ({ x }) => x, "step: the traced function gives a promise; return tensors");
    attempt(() => ({ y: 3 }), "y is a number; give a tensor");
    attempt(() => 3, "The tree is a number; give a tensor");
    const variable = standalone("mine", [2]);
    const update = (x: Tensor) => ({ variable, value: x.mul(2) });
    attempt(({ x }) => ({ updates: [update(x), [update(x)]] }), "step: mine is updated twice");
    attempt(
      ({ x }) => ({ updates: { variable, value: x.sum() } }),
      'step: the update of "mine" is f32[], and it is f32[2]',
    );
    attempt(({ x }) => ({ updates: [x] }), "step: an update is a record; give what optimizer.minimize gives");
    attempt(({ x }) => ({ updates: 3 as never, outputs: x }), "step: an update is a number");
    expect(() => compile(cpu, { x: f32(-2) }, square)).toThrow('the input "x" is declared as f32[-2]');
    expect(() => compile(cpu, { x: f32(2) }, square, { precision: "f64" as never })).toThrow(
      'use "f32" or "mixed"',
    );
    expect(() => compile(cpu, { x: f32(2) }, square, { seed: -1 })).toThrow(
      "square: the seed is -1; use a whole",
    );
    expect(() => compile(cpu, { x: f32(2) }, undefined as never)).toThrow(
      /the function to trace is undefined/,
    );
  });

  test("devices that are none", async () => {
    const promise = gpu() as never;
    expect(() => compile(promise, { x: f32(2) }, square)).toThrow(
      "compile: the device is a promise; await gpu() first.",
    );
    await expect(evaluate(promise, tensor([1]))).rejects.toThrow("evaluate: the device is a promise");
    expect(() => new Model(promise, linear({ in: 1, out: 1 }))).toThrow("new Model: the device is a promise");
    expect(() => compile({} as never, { x: f32(2) }, square)).toThrow(
      "compile: the first argument is no device",
    );
    await promise;
  });

  test("tensors of another device, and of traces", async () => {
    const model = new Model(cpuBackend(), linear({ in: 2, out: 1 }));
    expect(() => compile(cpu, { x: f32(1, 2) }, ({ x }, t) => model.forward(x, t))).toThrow(
      /lives on another device .*; use tensors, data and models of one device together/,
    );
    let leaked: Tensor | undefined;
    const run = compile(cpu, { x: f32(2) }, ({ x }) => (leaked = x).neg());
    await expect(evaluate(cpu, leaked!.mul(2))).rejects.toThrow(
      /evaluate: depends on "x", which a traced function/,
    );
    const other = compile(cpuBackend(), { x: f32(2) }, square);
    const result = await other({ x: [1, 2] });
    await expect(run({ x: result })).rejects.toThrow(/is a result on another device; read it/);
    // It goes on with what is right.
    expect([...(await (await run({ x: [1, 2] })).read()).data]).toEqual([-1, -2]);
  });

  test("a schedule over steps wants to know how many", async () => {
    const model = new Model(cpu, linear({ in: 1, out: 1, bias: false }));
    const step = (steps?: number) =>
      compile(
        cpu,
        { x: f32(1, 1) },
        ({ x }, t) => ({ updates: optimizer.minimize(model.forward(x, t).sum(), model) }),
        { name: "step", ...(steps !== undefined && { steps }) },
      );
    let optimizer = sgd({ lr: 1, swa: { start: 0.75 } });
    const asks =
      "step: a schedule of sgd depends on the number of steps; say how many with compile(…, { steps }).";
    expect(() => step()).toThrow(asks);
    optimizer = sgd({ lr: cosine({ from: 1 }) });
    expect(() => step()).toThrow(asks);
    expect(() => step(0)).toThrow("step: steps is 0; use a whole number of at least 1.");
    const weight = model.tensor("weight");
    weight.write([0]);
    const run = step(3);
    const seen: number[] = [];
    for (let i = 0; i < 4; i++) {
      await run({ x: [[1]] });
      seen.push((await weight.read()).data[0]!);
    }
    expect(seen.map((x) => Math.round(x * 1e6) / 1e6)).toEqual([-1, -1.5, -1.5, -1.5]);
  });
});

describe("compilations", () => {
  test("one that failed is tried again by the next call", async () => {
    const device = cpuBackend();
    let fails = 2;
    const flaky = new Proxy(device, {
      get(target, key) {
        if (key !== "compile") return Reflect.get(target, key, target);
        return (...args: Parameters<Backend["compile"]>) =>
          fails-- > 0 ? Promise.reject(new Error("no memory")) : target.compile(...args);
      },
    });
    const run = compile(flaky, { x: f32(1) }, square);
    await new Promise((resolve) => setTimeout(resolve)); // the first failure is nobody's yet
    await expect(run({ x: [1] })).rejects.toThrow("no memory");
    expect([...(await (await run({ x: [3] })).read()).data]).toEqual([9]);
  });

  test("disposing while one is under way frees what comes of it", async () => {
    const device = await gpu();
    const before = device.bytes;
    const run = compile(device, { x: f32(1021) }, ({ x }) => ({ y: x.mul(3).add(0.125).square() }));
    const started = run({ x: new Float32Array(1021) });
    started.catch(() => {});
    await run.dispose();
    await expect(started).rejects.toThrow(/was disposed of; compile it again/);
    expect(device.bytes).toBe(before);
  });
});
