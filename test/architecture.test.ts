// The rules of the house, read off the imports of src/: which way they point, and what may be used where.
import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { posix } from "node:path";
import { describe, expect, test } from "vitest";
import manifest from "../package.json" with { type: "json" };

/** Each room imports only from itself and from rooms before it. */
const ROOMS = [
  "core",
  "ops",
  "graph",
  "plan",
  "backend",
  "losses",
  "metrics",
  "nn",
  "interchange",
  "optim",
  "model",
  "data",
  "verify",
  "train",
  "index.ts",
  "node.ts",
  "cli",
];
const ROOMS_WITH_SHADERS = ["ops", "plan", "backend", "optim"];
const MAX_LINES = 500;

/** Path from the repository's root to content. */
type Sources = Map<string, string>;

interface Import {
  file: string;
  /** As written. */
  specifier: string;
  /** A path from the repository's root for a relative import, else the specifier. */
  target: string;
  dynamic: boolean;
}

const sources = readSources(["src", "shaders"]);
/** All that has comments, and the pages. */
const written = readSources(
  [".", "src", "shaders", "test", "scripts", "demo", "bench", "examples", "docs"],
  /\.(ts|mjs|wgsl|md)$/,
);

written.set("test/architecture.test.ts", ""); // the violations below are made up

describe("src/", () => {
  test("every file lies in a known room", () => expect(strangers(sources)).toEqual([]));
  test("imports point to earlier rooms", () => expect(upwardImports(sources)).toEqual([]));
  test("relative imports name a file that is there", () => expect(danglingImports(sources)).toEqual([]));
  test("no file imports itself through others", () => expect(cycles(sources)).toEqual([]));
  test("op records import no op records", () => expect(recordImports(sources)).toEqual([]));
  test("shaders are imported only by ops, plan, backend and optim", () =>
    expect(shaderImports(sources)).toEqual([]));
  test("every shader is imported", () => expect(unusedShaders(sources)).toEqual([]));
  test("GPU objects are made only in backend/webgpu", () => expect(gpuObjects(sources)).toEqual([]));
  test("index.ts reaches nothing that a browser lacks", () => expect(nodeOnlyImports(sources)).toEqual([]));
  test("files named in comments and pages are there", () => expect(staleNames(written)).toEqual([]));
  test(`no file is longer than ${MAX_LINES} lines`, () => expect(longFiles(sources)).toEqual([]));
});

describe("the checks themselves", () => {
  const violations: [
    check: (sources: Sources) => string[],
    sources: Record<string, string>,
    found: string,
  ][] = [
    [strangers, { "src/extra/a.ts": "" }, "src/extra/a.ts"],
    [strangers, { "src/extra.ts": "" }, "src/extra.ts"],
    [upwardImports, { "src/core/a.ts": `import type { B } from "../graph/b.ts";` }, "../graph/b.ts"],
    [upwardImports, { "src/ops/a.ts": `export {\n  b,\n} from "../graph/b.ts";` }, "../graph/b.ts"],
    [upwardImports, { "src/nn/a.ts": `const b = await import("../train/b.ts");` }, "../train/b.ts"],
    [upwardImports, { "src/train/a.ts": `import "../index.ts";` }, "../index.ts"],
    [danglingImports, { "src/core/a.ts": `export * from "./b.ts";` }, "./b.ts"],
    [
      cycles,
      {
        "src/core/a.ts": `import type { B } from "./b.ts";`,
        "src/core/b.ts": `import { c } from "./c.ts";`,
        "src/core/c.ts": `type A = import("./a.ts").A;`,
      },
      "src/core/a.ts → src/core/b.ts → src/core/c.ts → src/core/a.ts",
    ],
    [
      recordImports,
      {
        "src/ops/a.ts": `import { b } from "./b.ts";\nexport const a = defineOp({});`,
        "src/ops/b.ts": `export const b = elementwiseOp<{\n x: number }>({});`,
      },
      "src/ops/a.ts imports ./b.ts",
    ],
    [
      shaderImports,
      { "src/nn/a.ts": `import a from "../../shaders/a.wgsl?raw";` },
      "../../shaders/a.wgsl?raw",
    ],
    [shaderImports, { "src/ops/a.ts": `import a from "../../shaders/a.wgsl";` }, "?raw"],
    [unusedShaders, { "shaders/functions/a.wgsl": "" }, "shaders/functions/a.wgsl"],
    [gpuObjects, { "src/nn/a.ts": "const b = device.createBuffer({ size: 4 });" }, "src/nn/a.ts:1"],
    [
      nodeOnlyImports,
      {
        "src/index.ts": `export * from "./data/a.ts";`,
        "src/data/a.ts": `import { readFile } from "node:fs";`,
      },
      "src/index.ts → src/data/a.ts → node:fs",
    ],
    [staleNames, { "shaders/a/b.wgsl": "// As c/b.wgsl." }, "shaders/a/b.wgsl names c/b.wgsl"],
    [staleNames, { "src/core/a.ts": `/** See b.ts */\nconst c = "d.ts";` }, "src/core/a.ts names b.ts"],
    [staleNames, { "docs/a.md": "Of `src/b.ts`.\n```ts\n// c.ts\n```" }, "docs/a.md names src/b.ts"],
    [longFiles, { "src/core/a.ts": "\n".repeat(MAX_LINES + 1) }, "src/core/a.ts"],
  ];

  test.each(violations)("%o finds %o", (check, files, found) => {
    const problems = check(new Map(Object.entries(files)));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(found);
  });

  test("they accept what is right", () => {
    const right: Sources = new Map([
      ["shaders/add.wgsl", "// See core/a.ts and *.ts."],
      [
        "src/core/a.ts",
        `// import { b } from "../ops/b.ts";\n/* device.createBuffer() */ export const a = "import";`,
      ],
      ["src/ops/b.ts", `import s from "../../shaders/add.wgsl?raw";\nimport { a } from "../core/a.ts";`],
      ["src/ops/index.ts", `import * as b from "./b.ts";`],
      ["src/backend/webgpu/c.ts", `import "../../ops/index.ts"; device.createBuffer();`],
      ["src/index.ts", `export * from "./ops/index.ts";\nconst { create } = await import("webgpu");`],
      ["src/cli/main.ts", `import { readFile } from "node:fs";\nimport { b } from "../index.ts";`],
    ]);
    for (const [check] of violations) expect(check(right)).toEqual([]);
  });
});

function strangers(sources: Sources): string[] {
  return scripts(sources)
    .filter((file) => !ROOMS.includes(roomOf(file)))
    .map((file) => `${file}: src/${roomOf(file)} is not in ROOMS of test/architecture.test.ts`);
}

function upwardImports(sources: Sources): string[] {
  const rank = (file: string) => ROOMS.indexOf(roomOf(file));
  return allImports(sources)
    .filter(({ file, target }) => target.startsWith("src/") && rank(target) > rank(file))
    .map(
      ({ file, specifier, target }) =>
        `${file} imports ${specifier}, but ${roomOf(target)} comes after ${roomOf(file)}`,
    );
}

/** Guards the other checks: an import that leads nowhere would escape them. */
function danglingImports(sources: Sources): string[] {
  return allImports(sources)
    .filter(({ target }) => target.startsWith("src/") && !sources.has(target))
    .map(({ file, specifier }) => `${file} imports ${specifier}, which is no file (write the name in full)`);
}

function cycles(sources: Sources): string[] {
  const imports = importsByFile(sources);
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: string[]): void => {
    const start = path.indexOf(file);
    if (start >= 0) found.push([...path.slice(start), file].join(" → "));
    if (start >= 0 || done.has(file)) return;
    for (const { target } of imports.get(file) ?? []) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of scripts(sources)) visit(file, []);
  return found;
}

/** In src/ops only index.ts, the one list, imports files that define ops. */
function recordImports(sources: Sources): string[] {
  const definesOps = (file: string) => /^export const \w+ = \w*Op[<(]/m.test(sources.get(file) ?? "");
  return allImports(sources)
    .filter(({ file }) => roomOf(file) === "ops" && file !== "src/ops/index.ts")
    .filter(({ target }) => definesOps(target))
    .map(
      ({ file, specifier }) => `${file} imports ${specifier}, which defines ops: take them from the op table`,
    );
}

function shaderImports(sources: Sources): string[] {
  return allImports(sources)
    .filter(({ target }) => target.endsWith(".wgsl"))
    .filter(
      ({ file, specifier }) => !ROOMS_WITH_SHADERS.includes(roomOf(file)) || !specifier.endsWith("?raw"),
    )
    .map(
      ({ file, specifier }) => `${file} imports ${specifier}: only ${ROOMS_WITH_SHADERS} may, as ….wgsl?raw`,
    );
}

function unusedShaders(sources: Sources): string[] {
  const used = new Set(allImports(sources).map(({ target }) => target));
  return [...sources.keys()]
    .filter((file) => file.endsWith(".wgsl") && !used.has(file))
    .map((file) => `${file} is imported by nothing in src/`);
}

function gpuObjects(sources: Sources): string[] {
  const call = /\.(createBuffer|createBindGroup|createComputePipeline(?:Async)?)\s*\(/;
  return scripts(sources)
    .filter((file) => !file.startsWith("src/backend/webgpu/"))
    .flatMap((file) =>
      withoutComments(sources.get(file)!)
        .split("\n")
        .flatMap((line, i) => {
          const name = call.exec(line)?.[1];
          return name ? [`${file}:${i + 1} calls ${name}, which only src/backend/webgpu may`] : [];
        }),
    );
}

/** Follows the static imports; what is imported when needed may be for Node. */
function nodeOnlyImports(sources: Sources): string[] {
  const missing = new Set([...builtinModules, ...Object.keys(manifest.dependencies)]);
  const imports = importsByFile(sources);
  const found: string[] = [];
  const seen = new Set<string>();
  const visit = (file: string, path: string[]): void => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const { target, dynamic } of imports.get(file) ?? []) {
      if (dynamic) continue;
      if (target.startsWith("node:") || missing.has(target)) found.push([...path, file, target].join(" → "));
      visit(target, [...path, file]);
    }
  };
  visit("src/index.ts", []);
  return found;
}

/** A file is named by its path or the end of it: `sum.part.wgsl`, `conv/sum.part.wgsl`. */
function staleNames(sources: Sources): string[] {
  const ends = new Set(
    [...sources.keys()].flatMap((file) => file.split("/").map((_, i, parts) => parts.slice(i).join("/"))),
  );
  return [...sources].flatMap(([file, text]) => {
    const prose = file.endsWith(".md") ? text.replace(/```[\s\S]*?```/g, "") : commentsOf(text);
    const names = [...prose.matchAll(/[\w./*-]*\w\.(?:wgsl|ts|mjs)\b/g)].map(([name]) => name);
    return names
      .filter((name) => !name.includes("*") && !ends.has(name.replace(/^(\.{1,2}\/)+/, "")))
      .map((name) => `${file} names ${name}, which is no file`);
  });
}

function longFiles(sources: Sources): string[] {
  return [...sources]
    .map(([file, text]) => ({ file, lines: text.split("\n").length - (text.endsWith("\n") ? 1 : 0) }))
    .filter(({ lines }) => lines > MAX_LINES)
    .map(({ file, lines }) => `${file} has ${lines} lines`);
}

/** "core" for src/core/shape.ts, "index.ts" for src/index.ts. */
function roomOf(file: string): string {
  return file.split("/")[1]!;
}

function scripts(sources: Sources): string[] {
  return [...sources.keys()].filter((file) => file.endsWith(".ts"));
}

function importsByFile(sources: Sources): Map<string, Import[]> {
  return new Map(scripts(sources).map((file) => [file, importsOf(file, sources.get(file)!)]));
}

function allImports(sources: Sources): Import[] {
  return [...importsByFile(sources).values()].flat();
}

function importsOf(file: string, text: string): Import[] {
  const code = withoutComments(text);
  const find = (pattern: RegExp) => [...code.matchAll(pattern)].map((match) => match[1]!);
  const fixed = find(/^\s*(?:import|export)\b(?:[^"'`;]*?\bfrom)?\s*["']([^"']+)["']/gm);
  const dynamic = find(/\bimport\s*\(\s*["'`]([^"'`]+)["'`]/g);
  const resolve = (specifier: string) =>
    specifier.startsWith(".") ? posix.join(posix.dirname(file), specifier.replace(/\?.*$/, "")) : specifier;
  return [
    ...fixed.map((specifier) => ({ file, specifier, target: resolve(specifier), dynamic: false })),
    ...dynamic.map((specifier) => ({ file, specifier, target: resolve(specifier), dynamic: true })),
  ];
}

const commentsOf = (text: string): string =>
  [...text.matchAll(/\/\*[\s\S]*?\*\/|(?<=^|[^:"'`\\])\/\/.*$/gm)].map(([comment]) => comment).join("\n");

/** Keeps line numbers. Leaves `//` alone behind a colon or a quote, as in an address within a string. */
function withoutComments(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ""))
    .replace(/(^|[^:"'`\\])\/\/.*$/gm, "$1");
}

function readSources(folders: string[], wanted = /\.(ts|wgsl)$/): Sources {
  const paths = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: folder !== ".", encoding: "utf8" }).map((name) =>
      posix.join(folder, name),
    ),
  );
  const files = paths.filter((path) => wanted.test(path)).sort();
  return new Map(files.map((path) => [path, readFileSync(path, "utf8")]));
}
