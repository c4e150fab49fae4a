// The reference: written from the declarations, up to date, and complete.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { assembled, formatted, PAGES, reference, undocumented, unnamed } from "../../scripts/api.mjs";

const TYPES = "dist/types"; // the set-up of this project builds it
const folder = mkdtempSync(join(tmpdir(), "descent-docs-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A folder of declarations. */
function declared(name: string, files: Readonly<Record<string, string>>): string {
  for (const [path, text] of Object.entries({ "node.d.ts": 'export * from "./index.ts";', ...files })) {
    const file = join(folder, name, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return join(folder, name);
}

describe("docs", () => {
  test("every exported name has a docstring", () => expect(undocumented(TYPES)).toEqual([]));

  test("every type that a signature names can be imported", () => expect(unnamed(TYPES)).toEqual([]));

  test("docs/api.md is up to date (npm run docs)", () =>
    expect(readFileSync("docs/api.md", "utf8") === formatted("docs/api.md", reference(TYPES))).toBe(true));

  test("every op says how it is called", () => {
    const text = reference(TYPES);
    const names = [...text.matchAll(/^### (f\.[a-z]\w*)$/gm)].map(([, name]) => name!);
    expect(names.length).toBeGreaterThan(50);
    expect(names.filter((name) => !text.includes(`\n${name}(`))).toEqual([]);
  });

  test.each(PAGES)("%s shows the programs that are tested (npm run docs)", (page) => {
    const text = readFileSync(page, "utf8");
    expect(text).toBe(assembled(text));
  });

  test.each(PAGES)("%s shows no TypeScript but tested programs", (page) => {
    const text = readFileSync(page, "utf8");
    const blocks = text.match(/^\s*```ts$/gm) ?? [];
    const tested = text.match(/^<!-- test\/docs\/\S+\.ts -->\n+```ts$/gm) ?? [];
    expect(tested).toHaveLength(blocks.length);
  });

  test("links within the pages lead somewhere", () => {
    for (const page of ["docs/api.md", "README.md", ...PAGES]) {
      const text = readFileSync(page, "utf8");
      for (const [, target] of text.matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g))
        expect(() => readFileSync(join(dirname(page), target!, "."), { flag: "r" }), `${page}: ${target}`)
          // A folder is no file, and is there.
          .not.toThrow(/ENOENT/);
    }
  });
});

describe("the reader of declarations", () => {
  test("follows exports, namespaces and other names", () => {
    const types = declared("follow", {
      "index.d.ts": `export * as data from "./data/index.ts";
export { inner as outer, type Shape } from "./model/program.ts";
`,
      "data/index.d.ts": 'export * from "./arrays.ts";\n',
      "data/arrays.d.ts": `/** Makes "{" of x; see \`y\`.
 * @throws DataError when there is none.
 */
export declare function arrays(x: {
    a: number;
}): void;
`,
      "model/program.d.ts": `/** Lengths. */
export type Shape = readonly number[];
/** Some function. */
declare function inner(): Shape;
export { inner };
`,
    });
    const text = reference(types);
    expect(text).toContain(
      '### data.arrays\n\n```ts\nfunction arrays(x: {\n  a: number;\n}): void;\n```\n\nMakes "{" of x; see `y`.\n\nThrows `DataError` when there is none.',
    );
    expect(text).toContain("### outer\n\n```ts\nfunction outer(): Shape;\n```\n\nSome function.");
    expect(undocumented(types)).toEqual([]);
  });

  test("finds names and methods without a docstring, private ones left out", () => {
    const types = declared("missing", {
      "index.d.ts": 'export { Model, Options, seed } from "./model/model.ts";\n',
      "model/model.d.ts": `export interface Options {
    /** Not this. */
    a: number;
}
/** No sentence */
export declare const seed: number;
/** A model. */
export declare class Model {
    readonly name: string;
    private hidden;
    constructor(options: Options);
    load(): void;
    /** Saves. */
    save(): void;
}
`,
    });
    expect(undocumented(types)).toEqual([
      "Model.load in src/model/model.ts",
      "Options in src/model/model.ts",
      "seed in src/model/model.ts",
    ]);
  });

  test("a method has the docstring of the interface that its class implements", () => {
    const types = declared("inherit", {
      "index.d.ts": 'export { Model } from "./model/model.ts";\n',
      "model/model.d.ts": `interface Loads {
    /** Loads a file. */
    load(): void;
}
/** A model. */
export declare class Model implements Loads {
    load(): void;
}
`,
    });
    expect(undocumented(types)).toEqual([]);
    expect(reference(types)).toContain("- `load(): void`: Loads a file.");
  });

  test("a type that only a signature names is found, once, wherever it stands", () => {
    const types = declared("unnamed", {
      "index.d.ts": `export { type Options, Model } from "./model/model.ts";
export * as nn from "./nn/layers.ts";
`,
      "nn/layers.d.ts": `import type { Hidden as Shown } from "../model/model.ts";
/** A layer, "Quoted". */
export declare const layer: <T extends "Word">(x: T, options: Shown) => Promise<T>;
`,
      "model/model.d.ts": `export interface Hidden {
    a: number;
}
type Secret = string;
type Kept = number;
/** Options. */
export interface Options {
    /** Not Kept. */
    readonly hidden: Hidden; // nor Kept
}
/** A model. */
export declare class Model {
    private readonly kept: Kept;
    constructor(options: Options);
    private of(kept: Kept): void;
    /** Says so. */
    say(): Secret;
}
`,
    });
    expect(unnamed(types)).toEqual([
      "Hidden of src/model/model.ts, which Options names",
      "Secret of src/model/model.ts, which Model names",
    ]);
  });

  test("a file without a topic is named", () => {
    const types = declared("topic", {
      "index.d.ts": 'export { a } from "./extra/a.ts";\n',
      "extra/a.d.ts": "/** A. */\nexport declare const a: number;\n",
    });
    expect(() => reference(types)).toThrow("a in extra/a.ts belongs to no topic");
  });
});
