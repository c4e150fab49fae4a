// A lean bundle's shaders say what the sources say: every kernel's, alone and with chains of elementwise ops inside.
import { build, type Rollup } from "vite";
import { describe, expect, test } from "vitest";
import { leanShaders, pureConstants } from "../scripts/lean.ts";
import { leanShader } from "../scripts/lean-shaders.ts";
import { cpuBackend } from "../src/backend/cpu.ts";
import type { AdapterFacts } from "../src/core/kernel.ts";
import { shaders } from "./support/shaders.ts";

const FACTS: AdapterFacts = {
  ...cpuBackend().facts,
  software: false,
  subgroups: true,
  subgroupMinSize: 32,
  subgroupMaxSize: 32,
  maxWorkgroupBytes: 32768,
  maxBindings: 12,
  subgroupMatrices: [{ input: "f32", result: "f32", m: 8, n: 8, k: 8 }],
  f16: true,
};

async function leanEngine(): Promise<typeof import("./support/shaders.ts")> {
  const { output } = (await build({
    logLevel: "error",
    configFile: false,
    plugins: [leanShaders(), pureConstants()],
    build: {
      write: false,
      target: "es2023",
      minify: false,
      rolldownOptions: { input: "test/support/shaders.ts", preserveEntrySignatures: "strict" },
    },
  })) as Rollup.RollupOutput;
  return import(`data:text/javascript,${encodeURIComponent(output[0].code)}`);
}

const TOKEN = /\d[\w.]*(?:(?<=e)[+-]\d+\w*)?|\w+|->|--|\+\+|&&|\|\||[-+*/%&|^<>=!]=|[^\s\w]/g;
const tokensOf = (source: string) =>
  source
    .replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "")
    .match(TOKEN)!
    .join(" ");

describe("lean shaders", () => {
  const engine = leanEngine();

  test.each([true, false])("have the tokens of the sources, software adapter: %s", async (software) => {
    const facts = { ...FACTS, software };
    const lean = (await engine).shaders(facts);
    const compared = new Set<string>();
    for (const [label, source] of shaders(facts)) {
      if (compared.has(source)) continue;
      compared.add(source);
      const text = lean.get(label)!;
      expect(text.length, label).toBeLessThanOrEqual(source.length);
      expect(tokensOf(text), label).toBe(tokensOf(source));
    }
    expect(compared.size).toBeGreaterThan(1500);
  });

  test("spaces go where they divide nothing", () => {
    const source = `// A comment.
const N = 4u; // of them
@group(0) @binding(0) var<storage, read> x: array<f32>;

fn main(lane: u32) {
  /* another */
  for (var i = 0u; i < N; i++) { // unroll
    if (lane < N) {
      out[i] = a - -b[i] * (c + 1.0e-3);
    }
  }
  let e = !(a >= b) && c == 1u;
}
`;
    expect(leanShader(source)).toBe(`const N=4u;
@group(0) @binding(0) var<storage, read> x: array<f32>;
fn main(lane:u32){
 for (var i = 0u; i < N; i++) { // unroll
if(lane<N){
out[i] = a - -b[i]*(c+1.0e-3);
}
 }
let e=!(a>=b)&&c==1u;
}
`);
  });
});
