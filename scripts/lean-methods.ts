/** Leaves methods of tensors that a program does not call out of its bundle, and with them their ops. */
import { minifySync, type Plugin, parseSync, Visitor } from "vite";

/** An entry `name: () => op,` of the object of getters that a bundle makes of src/ops/everyday.ts. */
interface Entry {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

function everydayEntries(code: string): Entry[] {
  const entries: Entry[] = [];
  new Visitor({
    VariableDeclarator({ id, init }) {
      if (id.type !== "Identifier" || !id.name.startsWith("everyday_exports")) return;
      const list = init?.type === "CallExpression" ? init.arguments[0] : undefined;
      for (const property of list?.type === "ObjectExpression" ? list.properties : [])
        if (property.type === "Property" && property.key.type === "Identifier")
          entries.push({ name: property.key.name, start: property.start, end: property.end });
    },
  }).visit(parseSync("bundle.js", code).program);
  return entries;
}

function without(entries: readonly Entry[], code: string): string {
  let lean = code;
  for (const { start, end } of entries.toReversed())
    lean = lean.slice(0, start) + lean.slice(end).replace(/^\s*,/, "");
  return lean;
}

/** The names of members, of whatever object, in the code that a minifier leaves. */
function membersOf(code: string): Set<string> {
  const live = minifySync("bundle.js", code, { module: true, compress: true, mangle: false }).code;
  const names = new Set<string>();
  new Visitor({
    MemberExpression({ object, property }) {
      const builtIn = object.type === "Identifier" && /^(Math|console|Object|Array)$/.test(object.name);
      if (property.type === "Identifier" && !builtIn) names.add(property.name);
      if (property.type === "Literal") names.add(String(property.value));
    },
    ObjectPattern({ properties }) {
      for (const property of properties)
        if (property.type === "Property" && property.key.type === "Identifier") names.add(property.key.name);
    },
  }).visit(parseSync("bundle.js", live).program);
  return names;
}

/**
 * Leaves out methods of tensors, and the ops behind them, that a bundle of one file never names: neither the program nor
 * what it reaches of the engine. What is called by a name that is put together at run time must be named, too.
 */
export function leanMethods(): Plugin {
  return {
    name: "lean-methods",
    renderChunk(code, _, __, { chunks }) {
      if (Object.keys(chunks).length > 1) return null; // another file may call them
      // The code behind one method may name others.
      let absent = everydayEntries(code);
      for (;;) {
        const lean = without(absent, code);
        const named = membersOf(lean);
        const left = absent.filter(({ name }) => !named.has(name));
        if (left.length === absent.length) return { code: lean, map: null };
        absent = left;
      }
    },
  };
}
