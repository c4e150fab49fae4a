// A lean bundle's shaders say what the sources say: every kernel's, alone and with chains of elementwise ops inside.
import { build, type Rollup } from "vite";
import { describe, expect, test } from "vitest";
import { leanRecords, leanShaders, pureConstants } from "../scripts/lean.ts";
import { leanShader } from "../scripts/lean-shaders.ts";
import { GPU_FACTS } from "./support/facts.ts";
import { shaders } from "./support/shaders.ts";

const FACTS = { ...GPU_FACTS, maxBindings: 12, f16: true };

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
const tokensOf = (source: string) => source.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "").match(TOKEN)!;

/** What a shader declares outside of functions. */
function namesOf(tokens: readonly string[]): Set<string> {
  const names = new Set<string>();
  let depth = 0;
  tokens.forEach((token, i) => {
    if (token === "{") depth++;
    else if (token === "}") depth--;
    else if (depth === 0 && /^(const|alias|override|struct|fn)$/.test(token)) names.add(tokens[i + 1]!);
    else if (depth === 0 && token === ":" && tokens[i - 2] === ">") names.add(tokens[i - 1]!); // var<…> name: type
  });
  return names;
}

/**
 * Why two shaders are not the same but for the names of locals: within a function a name must stand for one other, always,
 * and neither for something that is declared outside.
 */
function difference(source: string, lean: string): string | undefined {
  const [from, to] = [tokensOf(source), tokensOf(lean)];
  if (from.length !== to.length) return `${from.length} tokens became ${to.length}`;
  const shared = namesOf(from);
  let there = new Map<string, string>();
  let back = new Map<string, string>();
  for (const [i, a] of from.entries()) {
    const b = to[i]!;
    if (a === "fn" || a === "struct") [there, back] = [new Map(), new Map()];
    const renamed = a !== b && (!/^[A-Za-z_]\w*$/.test(a) || shared.has(a) || shared.has(b));
    if (renamed || (there.get(a) ?? b) !== b || (back.get(b) ?? a) !== a)
      return `${from.slice(i - 9, i + 9).join(" ")} became ${to.slice(i - 9, i + 9).join(" ")}`;
    there.set(a, b);
    back.set(b, a);
  }
  return undefined;
}

describe("lean shaders", () => {
  test("are the sources but for names of locals", async () => {
    const lean = (await leanEngine()).shaders(FACTS);
    const compared = new Set<string>();
    for (const [label, source] of shaders(FACTS)) {
      if (compared.has(source)) continue;
      compared.add(source);
      const text = lean.get(label)!;
      expect(text.length, label).toBeLessThanOrEqual(source.length);
      expect(difference(source, text), label).toBeUndefined();
    }
    expect(compared.size).toBeGreaterThan(1000);
  });

  test("spaces that divide nothing go, and names of locals are one letter that the file does not have", () => {
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
@group(0)@binding(0)var<storage,read> x:array<f32>;
fn main(d:u32){
 for (var i = 0u; i < N; i++) { // unroll
if(d<N){
out[i]=a - -b[i]*(c+1.0e-3);
}
 }
let e=!(a>=b)&&c==1u;
}
`);
  });
});

describe("lean records", () => {
  test("only an optimizer's rule loses fields, not what has some of the same names", async () => {
    const program = `
      export const kinds = { positive: "above 0", bounds: "two numbers", reference: "a name", typical: "a number" };
      export const copy = (rule) => ({ ...rule, typical: 1, name: "copy" });
      export const rule = (centered) => ({
        name: "rule", slots: ["m"], numbers: ["beta"], source: "fn update", reference: () => 1, positive: ["m"],
        ...(centered && { bounds: 1, trust: 2 }), typical: { beta: 0.9 }, options: { positive: "kept" },
      });
    `;
    const { output } = (await build({
      logLevel: "error",
      configFile: false,
      plugins: [
        leanRecords("cases", "tolerances", "references"),
        {
          name: "program",
          resolveId: (id) => id,
          load: () => program,
        },
      ],
      build: {
        write: false,
        rolldownOptions: { input: "/src/optim/some.ts", preserveEntrySignatures: "strict" },
      },
    })) as Rollup.RollupOutput;
    const lean = await import(`data:text/javascript,${encodeURIComponent(output[0].code)}`);
    expect(Object.keys(lean.kinds)).toEqual(["positive", "bounds", "reference", "typical"]);
    expect(Object.keys(lean.rule(true))).toEqual(["name", "slots", "numbers", "source", "trust", "options"]);
    expect(lean.copy({})).toEqual({ name: "copy" });
    expect(lean.rule(true).options).toEqual({ positive: "kept" });
  });
});
