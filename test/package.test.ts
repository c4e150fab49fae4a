// The package as a user gets it: packed, installed into an empty project, imported, type-checked and run.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, posix, resolve } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { build } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import manifest from "../package.json" with { type: "json" };

const MAX_KILOBYTES = 620;

interface Packed {
  filename: string;
  size: number;
  files: { path: string }[];
}

const project = mkdtempSync(join(tmpdir(), "descent-package-"));
let packed: Packed;

beforeAll(() => {
  const [tarball] = JSON.parse(
    run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", project], "."),
  );
  packed = tarball;
  write("package.json", JSON.stringify({ name: "someone", private: true, type: "module" }));
  run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", `./${packed.filename}`]);
});

afterAll(() => rmSync(project, { recursive: true, force: true }));

test(`the tarball holds the built package alone, in less than ${MAX_KILOBYTES} kB`, () => {
  const paths = packed.files.map(({ path }) => path);
  expect(paths).toEqual(
    expect.arrayContaining(["dist/index.js", "dist/node.js", "dist/cli.js", "dist/types/index.d.ts"]),
  );
  expect(paths.filter((path) => !/^(dist\/|package\.json$|README|LICENSE)/i.test(path))).toEqual([]);
  expect(paths.filter((path) => /\btests?\b/.test(path))).toEqual([]);
  expect(packed.size / 1000).toBeLessThan(MAX_KILOBYTES);
});

test("an ESM program imports it in Node", () => {
  write(
    "names.js",
    `import * as descent from "${manifest.name}"; console.log(JSON.stringify(Object.keys(descent)));`,
  );
  expect(JSON.parse(run("node", ["names.js"]))).toEqual(
    expect.arrayContaining(["gpu", "nn", "optim", "losses", "data", "Trainer"]),
  );
});

/** Type-checks files of the project as a strict user does, with no types but the package's and TypeScript's own. */
function typecheck(files: readonly string[], options: string): void {
  const strict = "--noEmit --strict --noUncheckedIndexedAccess --skipLibCheck false --target es2023";
  run(resolve("node_modules/.bin/tsc"), [...`${strict} ${options}`.split(" "), ...files]);
}

const NODENEXT = "--module nodenext";
const BUNDLER = "--module esnext --moduleResolution bundler";

test("every example type-checks, strictly and by both ways of finding modules", () => {
  const examples = readdirSync("examples").filter((name) => name.endsWith(".ts"));
  expect(examples.length).toBeGreaterThanOrEqual(15);
  for (const name of examples) {
    const text = readFileSync(join("examples", name), "utf8");
    const code = text.replace(/\/\*.*?\*\/|\/\/.*|"[^"]*"/g, "");
    expect(code, `${name} says what it does without casts`).not.toMatch(
      /\bany\b|\bas (?!const\b)[A-Z]|[\w\])]!(?!=)/,
    );
    write(name, text);
  }
  const usesNode = (name: string) => /"node:|\bprocess\./.test(readFileSync(join("examples", name), "utf8"));
  const lib = "--lib es2023,esnext.disposable,dom"; // for console
  const node = `${lib} --typeRoots ${resolve("node_modules/@types")} --types node`;
  for (const [options, files] of [
    [lib, examples.filter((name) => !usesNode(name))],
    [node, examples.filter(usesNode)],
  ] as const) {
    typecheck(files, `${options} ${NODENEXT}`);
    typecheck(files, `${options} ${BUNDLER} --customConditions node`);
  }
});

test("its declarations need none of WebGPU's, the browser's or Node's", () => {
  write(
    "alone.ts",
    `import { data, f, gpu, losses, metrics, nn, optim, type Tensor, tensor, Trainer } from "${manifest.name}";
export const twice: Tensor = tensor([1, 2]).mul(2).add(f.relu(1));
export const trainer = new Trainer({
  device: await gpu({ powerPreference: "low-power" }),
  model: nn.linear({ in: 2, out: 1 }),
  loss: losses.mse(),
  optimizer: optim.sgd({ lr: 0.1 }),
  metrics: { mae: metrics.meanAbsoluteError() },
});
export const { mae, loss }: { mae: number; loss: number } = await trainer.evaluate(data.shapes().test);
// @ts-expect-error: a tensor is no number
export const wrong: number = twice;
`,
  );
  const lib = "--lib es2023,esnext.disposable";
  typecheck(["alone.ts"], `${lib} ${NODENEXT}`);
  typecheck(["alone.ts"], `${lib} ${BUNDLER}`);
  typecheck(["alone.ts"], `${lib} ${BUNDLER} --customConditions node`);
});

test("Node's entry has what files need, and the browser's has not", () => {
  const uses = (
    expectation: string,
  ) => `import { data, gpu, losses, Model, nn, optim, Trainer } from "${manifest.name}";
const device = await gpu();
${expectation}
export const { train }: data.Split = await data.cifar10("data", { download: true });
export const trainer = new Trainer({ device, model: nn.flatten(), loss: losses.mse(), optimizer: optim.sgd({ lr: 1 }) });
${expectation}
await trainer.save("checkpoints");
${expectation}
await trainer.model.save("model.safetensors");
${expectation}
export const model = await Model.load(device, "checkpoints");
`;
  write("in-node.ts", uses(""));
  write("in-browser.ts", uses("// @ts-expect-error: for Node"));
  const lib = "--lib es2023,esnext.disposable,dom";
  typecheck(["in-node.ts"], `${lib} ${NODENEXT}`);
  typecheck(["in-browser.ts"], `${lib} ${BUNDLER}`);
});

test("a bundle holds what its program uses", async () => {
  const parts = `import { Model, cpuBackend, data, losses, ndarray, nn, optim, Trainer } from "${manifest.name}";
const device = cpuBackend();
const network = () => nn.sequential(nn.linear({ in: 3, out: 8 }), nn.tanh(), nn.linear({ in: 8, out: 2 }));`;
  const inference = await bundle(
    "inference.js",
    `${parts}
const model = new Model(device, network());
console.log(JSON.stringify(await model.classify([1, 2, 3], { top: 2 })));`,
  );
  const mlp = await bundle(
    "mlp.js",
    `${parts}
const set = data.arrays({ x: ndarray([4, 3], Array.from({ length: 12 }, (_, i) => Math.sin(i))), y: ndarray([4], [0, 1, 0, 1], "i32") });
const trainer = new Trainer({ device, model: network(), loss: losses.crossEntropy(), optimizer: optim.adam({ lr: 0.1 }) });
for await (const { loss } of trainer.fit(set, { epochs: 20, batchSize: 4 })) console.log(loss);`,
  );
  const everything = await bundle("everything.js", `export * from "${manifest.name}";`);
  const nothing = await bundle("nothing.js", `import "${manifest.name}";`);
  const size = (code: string) => brotliCompressSync(code).length / 1000;
  console.log(
    `bundles by Brotli: inference ${size(inference).toFixed(1)} kB, perceptron's training ${size(mlp).toFixed(1)} kB, everything ${size(everything).toFixed(1)} kB`,
  );
  expect(nothing).toBe("");
  for (const absent of ["winograd", "maxPool2d", "batchNorm", "depthwise"])
    expect(mlp, absent).not.toContain(absent);
  for (const absent of ["winograd", "maxPool2d", "batchNorm", "gradientStats", "trainer"])
    expect(inference, absent).not.toContain(absent);
  expect(size(mlp)).toBeLessThan(0.75 * size(everything));
  expect(size(inference)).toBeLessThan(0.55 * size(everything));
  // What was left out was not needed.
  const guesses = JSON.parse(run("node", ["bundles/inference.js"]));
  expect(
    guesses
      .map(({ probability }: { probability: number }) => probability)
      .reduce((a: number, b: number) => a + b),
  ).toBeCloseTo(1, 5);
  const losses = run("node", ["bundles/mlp.js"]).trim().split("\n").map(Number);
  expect(losses).toHaveLength(20);
  expect(losses[19]).toBeLessThan(0.5 * (losses[0] ?? 0));
});

/** A program over the installed package as a bundler makes it for browsers; it is written to bundles/, too. */
async function bundle(name: string, program: string): Promise<string> {
  write(name, program);
  await build({
    root: project,
    configFile: false,
    logLevel: "error",
    build: {
      target: "es2023",
      outDir: "bundles",
      emptyOutDir: false,
      rolldownOptions: {
        input: join(project, name),
        preserveEntrySignatures: "strict",
        output: { entryFileNames: name },
      },
    },
  });
  return readFileSync(join(project, "bundles", name), "utf8").trim();
}

test("the browser's entry needs nothing but itself", () => {
  const dist = join(project, "node_modules", manifest.name, "dist");
  const seen = new Set<string>();
  const outside: string[] = [];
  const visit = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    const code = readFileSync(join(dist, file), "utf8");
    for (const [, target] of code.matchAll(/^(?:import|export)\b(?:[^"';]*?\bfrom)?\s*"([^"]+)"/gm))
      if (target!.startsWith(".")) visit(posix.join(posix.dirname(file), target!));
      else outside.push(`${file} imports ${target}`);
  };
  visit("index.js");
  expect(outside).toEqual([]);
});

test("npx descent --help lists the commands", () => {
  const help = run("npx", ["--no-install", "descent", "--help"]);
  for (const command of ["train", "verify", "info"]) expect(help).toContain(command);
});

test("npx descent info --json prints JSON", () => {
  expect(JSON.parse(run("npx", ["--no-install", "descent", "info", "--json"]))).toBeTypeOf("object");
});

function write(name: string, text: string): void {
  writeFileSync(join(project, name), text);
}

/** Runs a program in the project and returns what it printed; its complaints are in the error when it fails. */
function run(program: string, args: string[], cwd = project): string {
  // Without what an outer npm says about the outer package; its settings (registry, cache) stay.
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^npm_(?!config_)|^npm_config_local_prefix$|^INIT_CWD$/.test(name),
  );
  const env = Object.fromEntries(inherited);
  try {
    return execFileSync(program, args, {
      cwd,
      env,
      encoding: "utf8",
      stdio: "pipe",
      shell: process.platform === "win32",
    });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${program} ${args.join(" ")} failed:\n${stdout}${stderr}`);
  }
}
