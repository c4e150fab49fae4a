// Products through subgroup matrices: Dawn's null backend knows the extension, and compiles what no adapter here runs.

import { describe, expect, test } from "vitest";
import { create, globals } from "webgpu";
import type { AdapterFacts } from "../../src/core/kernel.ts";
import { reachable, read, standalone } from "../../src/graph/node.ts";
import { mixedPrecision } from "../../src/graph/precision.ts";
import { type Program, programRoots } from "../../src/graph/program.ts";
import * as f from "../../src/ops/f.ts";
import { offerMeasured } from "../../src/ops/measured.ts";
import { compilePlan, kernelKey } from "../../src/plan/plan.ts";
import { GPU_FACTS } from "../support/facts.ts";

const FACTS: AdapterFacts = {
  ...GPU_FACTS,
  subgroupMatrices: [
    { input: "f16", result: "f32", m: 16, n: 16, k: 16 },
    { input: "f32", result: "f32", m: 8, n: 8, k: 8 },
  ],
};

offerMeasured();

// Dawn's objects must stay referenced for the life of the process.
const kept = globalThis as { __nullDevice?: Promise<GPUDevice>; __nullDawn?: GPU };

function nullDevice(): Promise<GPUDevice> {
  kept.__nullDevice ??= (async () => {
    Object.assign(globalThis, globals);
    kept.__nullDawn = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);
    const adapter = await kept.__nullDawn.requestAdapter();
    const names = ["chromium-experimental-subgroup-matrix", "subgroups", "shader-f16"] as GPUFeatureName[];
    return adapter!.requestDevice({ requiredFeatures: names });
  })();
  return kept.__nullDevice;
}

/** What the compiler says of a shader, errors only. */
async function errorsOf(device: GPUDevice, code: string): Promise<string[]> {
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code });
  const { messages } = await module.getCompilationInfo();
  await device.popErrorScope();
  return messages.filter(({ type }) => type === "error").map(({ message }) => message);
}

/** The program's products through subgroup matrices. */
function productsOf(program: Program, facts = FACTS): string[] {
  const keys = reachable(programRoots(program)).filter((node) => node.op?.name === "matmul");
  const choices = new Map(keys.map((node) => [kernelKey(node), "matrix"]));
  const { steps } = compilePlan(program, facts, { choices });
  return steps.filter((s) => s.kernel.startsWith("matmul/matrix")).map((s) => s.source);
}

const matrix = (name: string, ...shape: number[]) => read(standalone(name, shape, "f32"));

describe("matmul/matrix", () => {
  const cases: [name: string, a: number[], b: number[], attrs?: object][] = [
    ["whole tiles", [512, 512], [512, 512]],
    ["edges everywhere", [37, 1031], [1031, 67]],
    ["both along k", [128, 256], [96, 256], { transposeB: true }],
    ["neither along k", [256, 128], [256, 96], { transposeA: true }],
    ["both transposed", [64, 40], [72, 64], { transposeA: true, transposeB: true }],
    ["a batch", [3, 16, 24], [24, 40]],
    ["slabs", [64, 16384], [16384, 64]],
  ];
  const programs: [element: string, make: (program: Program) => Program][] = [
    ["f32", (program) => program],
    ["f16", mixedPrecision],
  ];
  describe.each(programs)("of %s", (element, make) => {
    test.each(cases)("%s", async (_, a, b, attrs = {}) => {
      const y = f.matmul(matrix("a", ...a), matrix("b", ...b), attrs);
      const shaders = productsOf(make({ name: "product", outputs: { y } }));
      expect(shaders).toHaveLength(1);
      expect(shaders[0]).toContain(`alias Element = ${element};`);
      expect(await errorsOf(await nullDevice(), shaders[0]!)).toEqual([]);
    });
  });

  test("with chains where it loads and stores, f16 included", async () => {
    const y = f.relu(f.add(f.matmul(matrix("a", 64, 128), matrix("b", 128, 80)), matrix("bias", 80)));
    const z = f.matmul(y, matrix("c", 80, 48));
    for (const program of [
      { name: "two", outputs: { z } },
      mixedPrecision({ name: "two", outputs: { z } }),
    ]) {
      const shaders = productsOf(program);
      expect(shaders).toHaveLength(2);
      expect(shaders[0]).toContain("fn store_c(i: u32, value: f32) {\n");
      for (const shader of shaders) expect(await errorsOf(await nullDevice(), shader)).toEqual([]);
    }
  });

  test("the compiler's objections would be seen", async () => {
    const [shader] = productsOf({
      name: "p",
      outputs: { y: f.matmul(matrix("a", 64, 64), matrix("b", 64, 64)) },
    });
    const wrong = shader!.replace("subgroupMatrixStore<row_major>", "subgroupMatrixStore<f32>");
    expect(await errorsOf(await nullDevice(), wrong)).not.toEqual([]);
  });

  test("f16 operands are multiplied as f32 where the adapter adds up nothing else, and fit the default limits", () => {
    const y = f.matmul(matrix("a", 512, 512), matrix("b", 512, 512));
    const program = mixedPrecision({ name: "p", outputs: { y } });
    const [f16, f32] = FACTS.subgroupMatrices;
    const elements = (facts: Partial<AdapterFacts>) =>
      productsOf(program, { ...FACTS, ...facts }).map((shader) => /alias Element = (\w+)/.exec(shader)![1]);
    expect(elements({ subgroupMatrices: [{ ...f16!, result: "f16" }, f32!] })).toEqual(["f32"]);
    expect(elements({ subgroupMatrices: [f16!] })).toEqual(["f16"]);
    expect(elements({ subgroupMatrices: [{ ...f16!, m: 8, n: 8, k: 8 }] })).toEqual(["f16"]);
    expect(elements({ subgroupMatrices: [f16!], maxWorkgroupBytes: 16384 })).toEqual(["f16"]);
    expect(elements({ subgroupMatrices: [{ ...f16!, n: 8 }] })).toEqual([]);
  });

  test("is offered only where the adapter has fitting matrices, and operands fill one", () => {
    const named = (m: number, facts: AdapterFacts) => {
      const { node } = f.matmul(matrix("a", m, 64), matrix("b", 64, 64));
      const { implementation } = node.op!;
      if (implementation.kind !== "kernel") throw new Error("matmul is a kernel.");
      const inputs = node.inputs;
      return implementation
        .kernel({ inputs, outputs: node.outputs, attrs: node.attrs, facts })
        .map((v) => v.name);
    };
    expect(named(64, FACTS)).toContain("matrix");
    expect(named(7, FACTS)).not.toContain("matrix");
    expect(named(64, { ...FACTS, subgroupMatrices: FACTS.subgroupMatrices.slice(0, 1) })).not.toContain(
      "matrix",
    );
    expect(named(64, { ...FACTS, subgroupMaxSize: 64 })).not.toContain("matrix");
  });
});
