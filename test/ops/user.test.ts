// Ops that a user declares, with no samples, tolerance or error cases: planned, fused, differentiated, computed in mixed
// precision and verified as ours are.
import { describe, expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { NumericArray } from "../../src/core/dtype.ts";
import { DescentError, OptionError, ShapeError } from "../../src/core/errors.ts";
import { type Binding, gridOf, input, output, scratch } from "../../src/core/kernel.ts";
import type { Binary, Op, Tensor, Unary } from "../../src/core/op.ts";
import { Random } from "../../src/core/rng.ts";
import { Sampler } from "../../src/core/samples.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { feed, reachable } from "../../src/graph/node.ts";
import { mixedPrecision } from "../../src/graph/precision.ts";
import type { Program } from "../../src/graph/program.ts";
import { elementwiseOp } from "../../src/ops/elementwise/define.ts";
import * as f from "../../src/ops/f.ts";
import { defineOp } from "../../src/plan/define.ts";
import { verify } from "../../src/verify/parity.ts";
import { checkSample } from "../support/differences.ts";
import { gpu } from "../support/gpu.ts";

const cubed: Op<Unary> = elementwiseOp({
  name: "cubed",
  arity: 1,
  reference: (x) => x ** 3,
  expression: ([x]) => `${x} * ${x} * ${x}`,
  grad: ({ dy, inputs: [x] }, g) => [g.mul(dy, g.mul(3, g.square(x)))],
});

const reversal = (rows: number, columns: number) => /* wgsl */ `
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (i >= ${rows * columns}u) { return; }
  store_y(i, load_x(i / ${columns}u * ${columns}u + ${columns - 1}u - i % ${columns}u));
}
`;

/** Rows the other way round; `write` may spoil the shader, `promises` and `bindings` what is said of it. */
const reverser = (
  write = reversal,
  promises = {},
  bindings: readonly Binding[] = [input(0, "x"), output(0, "y")],
): Op<Unary> =>
  defineOp({
    name: "reversed",
    operands: ["x"],
    infer: ([x]) => {
      if (x.shape.length !== 2) throw new ShapeError(`reversed: x has rank ${x.shape.length}; use 2.`);
      return [x];
    },
    reference: ([{ shape, dtype, data }]) => [
      {
        shape,
        dtype,
        data: data.map((_, i) => {
          const columns = shape[1]!;
          return data[i - (i % columns) + columns - 1 - (i % columns)]!;
        }),
      },
    ],
    grad: ({ dy }) => [reversed(dy)],
    implementation: {
      kind: "kernel",
      loads: [0],
      stores: true,
      half: { inputs: [0], outputs: [0] },
      ...promises,
      kernel: ({ inputs: [x], facts }) => {
        const [rows, columns] = x!.shape as [number, number];
        const workgroups = gridOf(Math.ceil((rows * columns) / 64), facts);
        const dispatch = {
          kernel: "rows",
          source: write(rows, columns),
          bindings,
          workgroups,
        };
        return [{ name: "rows", dispatches: [dispatch] }];
      },
    },
  });
const reversed = reverser();

const gated: Op<Binary> = defineOp({
  name: "gated",
  operands: ["x", "gate"],
  infer: ([x]) => [x],
  reference: ([x, gate]) => [
    { ...x, data: Float64Array.from(x.data, (v, i) => v / (1 + Math.exp(-gate.data[i]!))) },
  ],
  implementation: { kind: "composition", compose: ([x, gate], _, g) => [g.mul(x, g.sigmoid(gate))] },
});

const mine: readonly (readonly [string, Op<any>, (x: Tensor) => Tensor])[] = [
  ["an elementwise op", cubed, (x) => cubed(x)],
  ["a kernel", reversed, (x) => reversed(x)],
  ["a composition", gated, (x) => gated(x, x)],
];

/** Runs a program on the GPU and by the references. */
async function both(program: Program, half = program) {
  const random = new Random(3);
  const feeds: Record<string, NumericArray> = {};
  for (const { leaf, outputs } of reachable(Object.values(program.outputs!)))
    if (leaf?.kind === "feed")
      feeds[leaf.name] = Float32Array.from({ length: sizeOf(outputs[0]!.shape) }, () =>
        random.uniform(-1, 1),
      );
  const results: NumericArray[][] = [];
  let kernels: string[] = [];
  for (const backend of [cpuBackend(), await gpu()]) {
    const executable = await backend.compile(half);
    executable.run(feeds);
    results.push(
      await Promise.all(Object.keys(program.outputs!).map(async (n) => (await executable.fetch(n)).data)),
    );
    kernels = executable.plan.steps.map((step) => step.kernel);
    executable.dispose();
  }
  return { results, kernels };
}

function expectClose([want, got]: NumericArray[][], tolerance: number): void {
  want!.forEach((data, k) => {
    expect(got![k]!.length).toBe(data.length);
    data.forEach((value, i) => {
      expect(Math.abs(got![k]![i]! - value), `output ${k}, element ${i}`).toBeLessThan(
        tolerance * Math.max(1, Math.abs(value)),
      );
    });
  });
}

describe.each(mine)("%s of a user's", (_, op, call) => {
  const [a, b] = [feed("a", [12, 16]), feed("b", [16, 8])];
  const build = () => {
    const y = call(f.matmul(a, b).add(1)).mul(0.5);
    const loss = y.square().mean();
    return { y, loss, weight: gradients(loss, [b])[0]! };
  };

  test("computes and differentiates among other ops", async () => {
    const { results, kernels } = await both({ name: "mine", outputs: build() });
    expectClose(results, 1e-4);
    expect(kernels.length).toBeGreaterThan(2);
  });

  test("in mixed precision", async () => {
    const program: Program = { name: "mine", outputs: build() };
    const { results } = await both(program, mixedPrecision(program));
    expectClose(results, 5e-3);
  });

  test("has first and second derivatives", async () => {
    const s = new Sampler(op.name);
    const sample = { inputs: op.operands.map(() => s.randn(5, 8)) };
    expect(await checkSample(op, sample, 0, 1)).toBe(op.operands.length);
    expect(await checkSample(op, sample, 0, 2)).toBe(op.operands.length + 1);
  });

  test("is verified", async () => {
    const seen: string[] = [];
    const rows = await verify(await gpu(), [op], { onRow: (row) => seen.push(row.op) });
    expect(rows.length).toBeGreaterThan(1);
    expect(rows.filter((row) => !row.pass)).toEqual([]);
    expect(seen).toEqual(rows.map(() => op.name));
  });
});

describe("fusion", () => {
  const x = feed("x", [8, 12]);
  const kernelsOf = async (y: Tensor) => {
    const { results, kernels } = await both({ name: "fused", outputs: { y } });
    expectClose(results, 1e-5);
    return kernels;
  };

  test("of an elementwise op into its neighbours, alone and in a kernel", async () => {
    expect(await kernelsOf(f.relu(cubed(f.add(x, 1))))).toEqual(["elementwise/add+cubed+relu"]);
    const product = f.matmul(feed("a", [16, 16]), feed("b", [16, 16]));
    const [kernel, ...others] = await kernelsOf(f.exp(cubed(product)));
    expect(others.filter((name) => name.includes("cubed"))).toEqual([]);
    expect(kernel).toMatch(/cubed/);
  });

  test("of neighbours into a kernel, where it loads and where it stores", async () => {
    const [first, ...others] = await kernelsOf(f.tanh(reversed(f.exp(f.sub(x, 1)))));
    expect(others.length).toBeLessThan(2);
    expect([first, ...others].join()).toMatch(/^(elementwise.*,)?rows(\(.*exp\))?\+tanh$/);
  });

  test("of a composition's parts", async () => {
    expect(await kernelsOf(gated(x, f.neg(x)))).toHaveLength(1);
  });
});

describe("verify", () => {
  test("says what a wrong op gets wrong", async () => {
    const wrong: Op<Unary> = elementwiseOp({
      name: "wrong",
      arity: 1,
      reference: (x) => x + 1,
      expression: ([x]) => `${x} + 1.5`,
    });
    const rows = await verify(await gpu(), [wrong, cubed]);
    expect(rows.filter((row) => row.op === "wrong" && row.pass && !row.case.includes("[0,"))).toEqual([]);
    expect(rows.find((row) => row.op === "wrong")!.message).toMatch(/elements of output 0 .* are off/);
    expect(rows.filter((row) => row.op === "cubed" && !row.pass)).toEqual([]);
  });

  test("refuses what is no device and no list of ops, in a sentence", async () => {
    const device = await gpu();
    const refuse = async (message: RegExp, ...args: unknown[]) => {
      const call = (verify as (...args: unknown[]) => Promise<unknown>)(...args);
      await expect(call).rejects.toThrow(OptionError);
      await expect(call).rejects.toThrow(message);
    };
    await refuse(/^verify: the device is a Promise; write await gpu\(\)\.$/, gpu(), [cubed]);
    await refuse(/^verify: the device is an object; use verify\(await gpu\(\), ops\)\.$/, { ops: [cubed] });
    await refuse(/^verify: the device is undefined; use/);
    await refuse(/^verify: ops is an object; use a list, \[op\]\.$/, device, { ops: [cubed] });
    await refuse(/^verify: ops is a single op; use a list, \[op\]\.$/, device, cubed);
    await refuse(/^verify: ops\[1\] is "relu"; use ops, as defineOp and/, device, [cubed, "relu"]);
    const odd = defineOp<Unary, undefined>({
      ...reversed,
      name: "odd",
      infer: () => {
        throw new ShapeError("odd: never.");
      },
    });
    await refuse(/^odd: has no samples and takes none of the usual tensors; give it samples/, device, [odd]);
  });
});

describe("WGSL that does not compile", () => {
  const x = feed("x", [4, 6]);

  test("is named with its op, its kernel and the line, and leaves the device as it was", async () => {
    const device = await gpu();
    const broken = reverser((rows, columns) =>
      reversal(rows, columns).replace("store_y(i, ", "store_y(i, nothing * "),
    );
    const compile = device.compile({ name: "broken", outputs: { y: broken(x) } });
    await expect(compile).rejects.toThrow(DescentError);
    await expect(compile).rejects.toThrow(
      /^reversed \(rows\): the shader does not compile: line 10, "store_y\(i, nothing \* load_x\(.*": [^\n]*nothing[^\n]*\.$/,
    );
    const bad: Op<Unary> = elementwiseOp({
      name: "bad",
      arity: 1,
      reference: (v) => v,
      expression: ([v]) => `${v} + missing(${v})`,
    });
    const fused = device.compile({ name: "bad", outputs: { y: f.relu(bad(f.exp(x))) } });
    await expect(fused).rejects.toThrow(
      /^elementwise\/exp\+bad\+relu: the shader does not compile: line \d+, "let \w+ = \w+ \+ missing\(\w+\);": [^\n]*missing/,
    );
    expectClose((await both({ name: "good", outputs: { y: reversed(x) } })).results, 1e-6);
    const rows = await verify(device, [bad, cubed]);
    expect(rows.filter((row) => row.op === "bad" && row.pass && !row.case.includes("[0,"))).toEqual([]);
    expect(rows.find((row) => row.op === "bad")!.message).toMatch(
      /^elementwise\/bad: the shader does not compile/,
    );
    expect(rows.filter((row) => row.op === "cubed" && !row.pass)).toEqual([]);
  });

  test("or binds what the shader does not declare is a sentence, too", async () => {
    const broken = reverser(
      (rows, columns) =>
        `@group(0) @binding(2) var<storage, read_write> z: array<f32>;\n${reversal(rows, columns)}`.replace(
          /store_y\(i, (.*)\);/,
          "z[i] = $1;",
        ),
      { stores: false, half: undefined },
      [input(0, "x"), output()],
    );
    const compile = (await gpu()).compile({ name: "broken", outputs: { y: broken(x) } });
    await expect(compile).rejects.toThrow(/^reversed \(rows\): the shader does not compile: [^\n]+\.$/);
  });
});

describe("what a record promises of its kernel is checked when the kernel is made", () => {
  const x = feed("x", [4, 6]);
  const refuse = async (
    change: (source: string) => string,
    promises: object,
    message: RegExp,
    bindings?: readonly Binding[],
  ) => {
    const op = reverser((rows, columns) => change(reversal(rows, columns)), promises, bindings);
    const compile = (await gpu()).compile({ name: "broken", outputs: { y: op(x) } });
    await expect(compile).rejects.toThrow(DescentError);
    await expect(compile).rejects.toThrow(message);
  };
  const same = (s: string) => s;

  test("loads: by load_x only", async () => {
    await refuse(
      (s) => s.replace(/i >= \d+u/, "i >= arrayLength(&x)"),
      {},
      /^reversed \(rows\): the shader does not compile: line 9, "if \(i >= arrayLength\(&x\)\) \{ return; \}": [^\n]*'x'/,
    );
    await refuse(
      (s) => s.replace(/load_x\((.*)\)\)/, "x[$1])"),
      {},
      /^reversed: the kernel rows does not call load_x, but its record says loads 0; change one of them\.$/,
    );
    await refuse(
      same,
      {},
      /^reversed: the kernel rows binds input 0 without a name, as in input\(0, "x"\), to load it by, but its record says loads 0; change one of them\.$/,
      [input(0), output(0, "y")],
    );
    await refuse(same, {}, /does not call enter_x, but its record says loads 0/, [
      input(0, "x", { slots: 1 }),
      output(0, "y"),
    ]);
  });

  test("names: bound with the dtype that is there", async () => {
    await refuse(
      same,
      {},
      /^reversed: the kernel rows binds output 0 as i32, but it is f32\[4, 6\]; write output\(0, "y", \{ dtype: "f32" \}\)\.$/,
      [input(0, "x"), output(0, "y", { dtype: "i32" })],
    );
  });

  test("names: each once, and none that chains would make", async () => {
    for (const [x, y, name] of [
      ["x", "x", "x"],
      ["x", "y_0", "y_0"],
      ["x_array", "y", "x_array"],
    ] as const)
      await refuse(
        same,
        {},
        new RegExp(`^reversed: the kernel rows binds "${name}", which is taken or is how generated names`),
        [input(0, x), output(0, y)],
      );
  });

  test("half: by load_x, too", async () => {
    const half = { loads: undefined, half: { inputs: [0], outputs: [] } };
    await refuse(same, half, /binds input 0 without a name, .* but its record says half 0/, [
      input(0),
      output(0, "y"),
    ]);
  });

  test("stores: by store_y only, and not read back", async () => {
    await refuse(
      (s) => s.replace(/store_y\(i, (.*)\);/, "y[i] = $1;"),
      {},
      /^reversed: the kernel rows does not call store_y, but its record says stores; change one of them\.$/,
    );
    await refuse(
      (s) => s.replace("load_x(", "y[i] + load_x("),
      {},
      /the shader does not compile: line 10, "store_y\(i, y\[i\] \+ load_x\(.*": [^\n]*'y'/,
    );
    await refuse((s) => s.replace("load_x(", "load_y(i) + load_x("), {}, /line 10, [^\n]*'load_y'/);
    await refuse(same, {}, /binds output 0 without a name, .* but its record says stores/, [
      input(0, "x"),
      output(),
    ]);
  });

  test("overwrites: loaded where the result is stored, of its type", async () => {
    await refuse(
      same,
      { overwrites: 0 },
      /loads x where it does not store its result, in "store_y\(i, load_x\(i \/ 6u .*\)\);", but .* overwrites 0/,
    );
    const inPlace = (s: string) => s.replace(/load_x\(.*\)\)/, "load_x(i))");
    await refuse(
      (s) => inPlace(s).replace("load_x(i)", "load_x(i).x"),
      { overwrites: 0 },
      /loads x as vec4<f32> and stores y as f32/,
      [input(0, "x", { width: 4 }), output(0, "y")],
    );
    await refuse(
      inPlace,
      { overwrites: 0 },
      /binds scratch 0 after input 0 without a name, but its record says overwrites 0/,
      [input(0, "x"), scratch(0), output(0, "y")],
    );
  });
});
