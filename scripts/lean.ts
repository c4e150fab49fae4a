/** Plugins that make the engine small for those who download it. Used by the package's build and by the demo's. */
import type { Plugin } from "vite";

export { leanMethods } from "./lean-methods.ts";
export { leanShaders } from "./lean-shaders.ts";

/** Whether an expression calls something while its module is loaded. */
function calls(tree: unknown): boolean {
  if (typeof tree !== "object" || tree === null) return false;
  const { type } = tree as Node;
  if (type === "CallExpression" || type === "NewExpression") return true;
  if (typeof type === "string" && type.includes("Function")) return false;
  return Object.values(tree).some(calls);
}

interface Declaration {
  readonly declaration?: Declaration | null;
  readonly declarations?: readonly { readonly init?: Node | null }[];
}

/**
 * Marks the values of all top-level constants as made without side effects, so that bundlers leave out those that a
 * program does not use: ops, layers, optimizers.
 */
export function pureConstants(): Plugin {
  return {
    name: "pure-constants",
    enforce: "pre",
    transform(code, id) {
      if (!/\/src\/.+\.ts$/.test(id)) return undefined;
      const { body } = this.parse(code, { lang: "ts" }) as unknown as { body: Declaration[] };
      const values = body
        .flatMap((statement) => (statement.declaration ?? statement).declarations ?? [])
        .flatMap(({ init }) => (init && calls(init) ? [init] : []));
      let marked = code;
      for (const { start, end } of values.reverse())
        marked = `${marked.slice(0, start)}/*#__PURE__*/ (() => (${marked.slice(start, end)}))()${marked.slice(end)}`;
      return { code: marked, map: null };
    },
  };
}

/** What only a few modules read of an op's record, or of an optimizer's update rule: the fields, and those modules. */
const PARTS = {
  /** What the parity suite and the tests try. */
  cases: {
    fields: ["samples", "errors", "points", "integerPoints", "domain", "attrs"],
    rules: ["typical", "positive"],
    readers: /\/src\/verify\/parity\.ts$/,
  },
  /** What results are judged by: where kernels are verified or tuned. */
  tolerances: { fields: ["tolerance"], rules: ["bounds"], readers: /\/src\/ops\/bounds\.ts$/ },
  /** What the CPU computes with, and what kernels are compared with. Elementwise ops keep theirs: it folds constants. */
  references: {
    fields: ["reference"],
    rules: ["reference"],
    readers: /\/src\/(verify\/parity|ops\/bounds|backend\/cpu|backend\/webgpu\/tuner-trial)\.ts$/,
  },
};
type Part = keyof typeof PARTS;

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly name?: string;
  readonly value?: unknown;
  readonly key?: Node;
  readonly callee?: Node;
  readonly argument?: Node;
  readonly arguments?: readonly Node[];
  readonly properties?: readonly Node[];
}

/** The value of a property of an object literal. */
const property = (object: Node, name: string) =>
  object.properties?.find(({ key }) => key?.name === name)?.value as Node | undefined;

/** All nodes of a tree. */
function nodes(tree: unknown): Node[] {
  if (typeof tree !== "object" || tree === null) return [];
  const below = Object.values(tree).flatMap(nodes);
  return typeof (tree as Node).type === "string" ? [tree as Node, ...below] : below;
}

/** Every object literal that is declared as an op. */
const opsIn = (tree: unknown): Node[] =>
  nodes(tree).flatMap(({ type, callee, arguments: list }) =>
    type === "CallExpression" && /^(defineOp|elementwiseOp)$/.test(callee?.name ?? "") ? [list![0]!] : [],
  );

/** An optimizer's rule, which no other literal looks like, or a copy of one. */
const isRule = (node: Node): boolean =>
  ["slots", "numbers", "source"].every((name) => property(node, name)) ||
  node.properties?.some(({ argument }) => argument?.name === "rule") === true;

/** Every object literal that is a rule, and those that it spreads. */
const rulesIn = (tree: unknown): Node[] =>
  nodes(tree)
    .filter(isRule)
    .flatMap((rule) => [
      rule,
      ...nodes(rule.properties!.filter(({ type }) => type === "SpreadElement")).filter(
        ({ type }) => type === "ObjectExpression",
      ),
    ]);

/** Elementwise, as far as the literal says: `elementwiseOp` takes no implementation. */
function isElementwise(record: Node): boolean {
  const implementation = property(record, "implementation");
  return !implementation || (property(implementation, "kind")?.value as unknown) === "elementwise";
}

/**
 * Leaves parts of op records out of bundles that do not read them, except those whose entry lies in a folder `verify`.
 * A bundle that holds a reader of what was left out is an error.
 */
export function leanRecords(...parts: readonly Part[]): Plugin {
  let left: readonly Part[] = parts;
  return {
    name: "lean-records",
    enforce: "pre",
    buildStart({ input }) {
      left = Object.values(input).some((entry) => entry.includes("/verify/")) ? [] : parts;
    },
    transform(code, id) {
      const [, room] = /\/src\/(ops|optim)\/.+\.ts$/.exec(id) ?? [];
      if (!room) return undefined;
      const tree = this.parse(code, { lang: "ts" });
      const namesOf = (record: Node) =>
        room === "optim"
          ? left.flatMap((part) => PARTS[part].rules)
          : left
              .filter((part) => part !== "references" || !isElementwise(record))
              .flatMap((part) => PARTS[part].fields);
      const cuts = (room === "optim" ? rulesIn(tree) : opsIn(tree)).flatMap((record) => {
        const names = namesOf(record);
        return (record.properties ?? []).filter(({ key }) => names.includes(key?.name ?? ""));
      });
      let lean = code;
      for (const { start, end } of cuts.sort((a, b) => b.start - a.start))
        lean = lean.slice(0, start) + lean.slice(end).replace(/^\s*,/, "");
      return { code: lean, map: null };
    },
    generateBundle(_, bundle) {
      for (const chunk of Object.values(bundle))
        if (chunk.type === "chunk")
          for (const [id, { renderedLength }] of Object.entries(chunk.modules))
            for (const part of left)
              if (renderedLength > 0 && PARTS[part].readers.test(id))
                this.error(
                  `${id} reads the ${part} of op records, which ${chunk.fileName} leaves out; keep them.`,
                );
    },
  };
}
