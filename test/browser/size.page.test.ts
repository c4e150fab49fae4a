// What a visitor downloads, compressed: each page with its workers, all pages together, and the engine of a program that trains.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build, type Rollup } from "vite";
import { expect, test } from "vitest";
import { leanMethods, leanRecords, leanShaders, pureConstants } from "../../scripts/lean.ts";
import type { OpRecord } from "../../src/core/op.ts";
import { records as complete } from "../../src/ops/index.ts";

interface File {
  readonly fileName: string;
  readonly content: string;
}

/** The demo as it is built for the tests of its pages. */
const builtDemo = (): File[] =>
  readdirSync("demo/dist", { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .map((path) => ({ fileName: relative("demo/dist", path), content: readFileSync(path, "utf8") }));

/** Builds without writing. */
async function outputs(config: Parameters<typeof build>[0]): Promise<File[]> {
  const built = (await build({ logLevel: "error", ...config, build: { ...config?.build, write: false } })) as
    | Rollup.RollupOutput
    | Rollup.RollupOutput[];
  return [built].flat().flatMap(({ output }) =>
    output.map((file) => ({
      fileName: file.fileName,
      content: file.type === "chunk" ? file.code : String(file.source),
    })),
  );
}

const kilobytes = (files: readonly File[]) =>
  files.reduce((sum, file) => sum + gzipSync(file.content, { level: 9 }).length, 0) / 1000;

/** A page's own files: those it names, those that they name, and so on. */
function loadedBy(page: File, files: readonly File[]): File[] {
  const found = new Set<File>([page]);
  for (const file of found)
    for (const other of files) {
      const name = other.fileName.split("/").at(-1)!;
      if (/\.(js|css)$/.test(name) && file.content.includes(name)) found.add(other);
    }
  found.delete(page);
  return [...found];
}

test("every page, and all of them together, load at most 192 kB of scripts and styles", async () => {
  const files = builtDemo();
  const pages = files.filter(({ fileName }) => fileName.endsWith(".html"));
  expect(pages.length).toBeGreaterThanOrEqual(4);
  for (const page of pages) {
    const loaded = loadedBy(page, files);
    expect(loaded.length).toBeGreaterThan(1);
    console.log(`${page.fileName}: ${kilobytes(loaded).toFixed(1)} kB`);
    expect(kilobytes(loaded), page.fileName).toBeLessThanOrEqual(192);
  }
  // The engine is in a worker's bundle of its own for each page, and counted above; what is the pages' own counts once.
  const own = files.filter(({ fileName }) => /\.(js|css)$/.test(fileName) && !/worker/.test(fileName));
  console.log(`all pages' own: ${kilobytes(own).toFixed(1)} kB`);
  expect(kilobytes(own)).toBeLessThanOrEqual(192);
});

/** The code of a program over the engine, built as the demo's workers are, for WebGPU alone. */
async function engine(program: string): Promise<string> {
  const files = await outputs({
    configFile: false,
    plugins: [
      leanShaders(),
      leanRecords("cases", "tolerances", "references"),
      leanMethods(),
      pureConstants(),
      {
        name: "program",
        resolveId: (source) =>
          source === "program.ts"
            ? "\0program.ts"
            : source.startsWith("/src/")
              ? process.cwd() + source
              : null,
        load: (id) => (id === "\0program.ts" ? program : null),
      },
    ],
    build: {
      target: "es2023",
      rolldownOptions: {
        input: "program.ts",
        preserveEntrySignatures: "strict",
        output: { minify: true },
      },
    },
  });
  expect(files).toHaveLength(1);
  return files[0]!.content;
}

/** Trains, evaluates and saves a convolutional network: all of the engine that its calls can reach. */
const PROGRAM = `
import { data, gpu, losses, nn, optim, Trainer } from "/src/index.ts";

export async function train(set, validation) {
  const model = nn.sequential(
    nn.conv2d({ in: 3, out: 32, kernel: 3, padding: "same" }),
    nn.batchNorm(32),
    nn.relu(),
    nn.maxPool2d(2),
    nn.residual(nn.sequential(nn.conv2d({ in: 32, out: 32, kernel: 3, padding: "same" }), nn.batchNorm(32))),
    nn.globalAvgPool2d(),
    nn.flatten(),
    nn.dropout(0.2),
    nn.linear({ in: 32, out: 10, init: nn.init.heNormal() }),
  );
  const trainer = new Trainer({
    device: await gpu(),
    model,
    loss: losses.crossEntropy({ labelSmoothing: 0.1 }),
    optimizer: optim.adamW({ lr: optim.oneCycle({ peak: 3e-3 }), weightDecay: 5e-4 }),
  });
  for await (const epoch of trainer.fit(data.parseCifar10(set), { epochs: 10, batchSize: 128 }))
    console.log(epoch.loss, await trainer.evaluate(validation));
  return trainer.checkpoint();
}
`;

/** Trains a perceptron. */
const MLP = `
import { data, gpu, losses, nn, optim, Trainer } from "/src/index.ts";

export async function train(x, y) {
  const model = nn.sequential(nn.linear({ in: 3, out: 64 }), nn.relu(), nn.linear({ in: 64, out: 1 }));
  const trainer = new Trainer({ device: await gpu(), model, loss: losses.mse(), optimizer: optim.adam({ lr: 1e-3 }) });
  for await (const epoch of trainer.fit(data.arrays({ x, y }), { epochs: 10, batchSize: 128 })) console.log(epoch.loss);
}
`;

test("the engine of a program that trains a perceptron carries no convolution, pooling or norm", async () => {
  const code = await engine(MLP);
  const size = brotliCompressSync(code).length / 1000;
  console.log(`engine of a perceptron: ${size.toFixed(1)} kB by Brotli`);
  expect(size).toBeLessThanOrEqual(62);
  expect(code).toContain("matmul");
  for (const absent of [
    "winograd",
    "depthwise",
    "maxPool2d",
    "batchNorm",
    "dropout",
    "readLayers",
    "leakyRelu",
  ])
    expect(code, absent).not.toContain(absent);
});

test("a lean bundle has the methods that its code names, and what their gradients name", async () => {
  const code = await engine(`
    import { grad } from "/src/index.ts";
    import { feed } from "/src/graph/node.ts";
    export const slope = () => grad((x) => x.gelu().sum())(feed("x", [2]));
  `);
  const { slope } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  expect(slope().shape).toEqual([2]);
  for (const [op, present] of Object.entries({
    gelu: true,
    erf: true,
    mish: false,
    leakyRelu: false,
    gather: false,
  }))
    expect(code.includes(`name:\`${op}\``), op).toBe(present);
});

test("a lean bundle has the methods of classes that its code names", async () => {
  const code = await engine(`
    class Shape {
      told() { return "told " + this.area(); }
      area() { return 1; }
      idle() { return "idle shape"; }
      toString() { return this.told(); }
    }
    class Square extends Shape {
      area() { return 4; }
    }
    class Cube {
      volume() { return "cube of " + this.edge(); }
      edge() { return 2; }
      told() { return "told cube"; }
      open() { return "opened"; }
      read() { return "read"; }
    }
    class Sphere {
      volume() { return "volume of a sphere"; }
      radius() { return "radius"; }
    }
    class Outer {
      inner() { return new (class Inner { go() { return this.hit(); } hit() { return "inner"; } })(); }
      idleOuter() { return new (class Hidden { one() { return "hidden"; } two() { return "hidden, too"; } })(); }
    }
    class Prism {
      faces() { return "faces"; }
      yes() { return "yes"; }
      no() { return "no"; }
    }
    let solid = new Cube();
    export const more = (key) => {
      const names = [new Outer().inner().go(), new Prism()[key ? "yes" : "no"]()];
      for (solid of [new Prism()]) names.push(solid.faces());
      return names;
    };
    const cube = new Cube();
    let either = new Cube();
    const isOpen = (x) => "open" in x;
    export const all = (key) => {
      const { read } = cube;
      const before = [String(new Square()), cube.volume(), isOpen(cube), read(), new Sphere().radius()];
      if (key) either = new Shape();
      return [...before, either.told()];
    };
  `);
  const { all, more } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  expect(all(false)).toEqual(["told 4", "cube of 2", true, "read", "radius", "told cube"]);
  expect(all(true)).toEqual(["told 4", "cube of 2", true, "read", "radius", "told 1"]);
  expect([more(true), more(false)]).toEqual([
    ["inner", "yes", "faces"],
    ["inner", "no", "faces"],
  ]);
  for (const absent of ["idle shape", "volume of a sphere", "hidden"])
    expect(code, absent).not.toContain(absent);
});

test("the engine of a program that trains a convolutional network on WebGPU is at most 84 kB by Brotli", async () => {
  const code = await engine(PROGRAM);
  const size = brotliCompressSync(code).length / 1000;
  console.log(
    `engine: ${size.toFixed(1)} kB by Brotli, ${(gzipSync(code, { level: 9 }).length / 1000).toFixed(1)} kB by gzip`,
  );
  expect(size).toBeGreaterThan(30);
  expect(size).toBeLessThanOrEqual(84);
  // Only measuring chooses these kernels, only those who declare ops have their promises checked, and texts are what is split.
  for (const absent of ["winograd-4", "subgroup_matrix", "its record says", "name:`split`"])
    expect(code, absent).not.toContain(absent);
});

test("a lean bundle leaves out what its records are said to leave out, and says when that is read", async () => {
  const code = await engine('export { records } from "/src/ops/index.ts";');
  const { records } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  const names = (list: readonly OpRecord[]) => list.map(({ name }) => name).sort();
  expect(names(records)).toEqual(names(complete));
  for (const { name, implementation, reference, samples, errors, tolerance } of records as OpRecord[]) {
    expect([samples, errors, tolerance], name).toEqual([undefined, undefined, undefined]);
    expect(reference !== undefined, name).toBe(implementation.kind === "elementwise");
  }
  const reader = engine('export { cpuBackend } from "/src/index.ts";');
  await expect(reader).rejects.toThrow(/cpu\.ts reads the references of op records, which .* leaves out/);
});
