/** Plugins that make the engine small for those who download it. Used by the package's build and by the demo's. */
import { readFileSync } from "node:fs";
import type { Plugin } from "vite";

const withoutSpace = (source: string) =>
  source
    .replace(/\/\/(?! unroll\b).*$/gm, "") // the marks of loops that are unrolled stay
    .replace(/[ \t]+$/gm, "")
    .replace(/\n{2,}/g, "\n");

/** Leaves the comments and empty lines of shaders out. */
export function leanShaders(): Plugin {
  return {
    name: "lean-shaders",
    enforce: "pre",
    load(id) {
      if (!id.endsWith(".wgsl?raw")) return undefined;
      const path = id.slice(0, -"?raw".length);
      this.addWatchFile(path);
      return `export default ${JSON.stringify(withoutSpace(readFileSync(path, "utf8")))};`;
    },
  };
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly key?: { readonly name?: string };
}

/** What only the parity suite and the tests read of an op's record. */
const FOR_TESTS = ["samples", "errors"];

/**
 * Leaves samples and error cases out of op records, for bundles that only train: those whose entry lies in no folder
 * `verify`.
 */
export function leanRecords(): Plugin {
  let training = true;
  return {
    name: "lean-records",
    enforce: "pre",
    buildStart({ input }) {
      training = !Object.values(input).some((entry) => entry.includes("/verify/"));
    },
    transform(code, id) {
      if (!training || !/\/src\/ops\/[\w-]+\.ts$/.test(id)) return undefined;
      const cuts: [number, number][] = [];
      const walk = (value: unknown): void => {
        if (typeof value !== "object" || value === null) return;
        const node = value as Node;
        if (node.type === "Property" && FOR_TESTS.includes(node.key?.name ?? "")) {
          const comma = /^\s*,/.exec(code.slice(node.end));
          cuts.push([node.start, node.end + (comma ? comma[0].length : 0)]);
        } else for (const child of Object.values(value)) walk(child);
      };
      walk(this.parse(code, { lang: "ts" }));
      if (cuts.length === 0) return undefined;
      let lean = code;
      for (const [from, to] of cuts.reverse()) lean = lean.slice(0, from) + lean.slice(to);
      return { code: lean, map: null };
    },
  };
}
