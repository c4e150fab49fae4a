import { wgslType } from "../core/dtype.ts";
import type { Dispatch, Elements } from "../core/kernel.ts";

// The functions by which a shader loads and stores, generated from what its dispatch binds.

/** The WGSL type of a number, or of a vector of them. */
export const wgslElements = ({ dtype = "f32", width = 1 }: Elements) =>
  width === 1 ? wgslType(dtype) : `vec${width}<${wgslType(dtype)}>`;

/** What a shader calls before it loads from a channel; `statements` read what a chain needs of it. */
export const enterCode = (name: string, statements: readonly string[] = []) => [
  `var<private> slot_${name}: u32;`,
  `fn enter_${name}(channel: u32, slot: u32) {`,
  ...statements,
  "}",
];

/** A dispatch's whole shader: its own text, then the arrays that have names and the functions that load and store them. */
export const shaderOf = ({ source, bindings }: Dispatch): string =>
  [
    source,
    ...bindings.flatMap(({ name, access, over, slots, ...elements }, k) => {
      if (!name) return [];
      const type = wgslElements(elements);
      const array = `${name}_array`;
      const load = (from: string) => `fn load_${from}(i: u32) -> ${type} { return ${array}[i]; }`;
      return [
        `@group(0) @binding(${k}) var<storage, ${access}> ${array}: array<${type}>;`,
        access === "read" ? load(name) : `fn store_${name}(i: u32, value: ${type}) { ${array}[i] = value; }`,
        ...(over?.name ? [load(over.name)] : []),
        ...[{ name, slots }, over ?? {}].flatMap((b) => (b.name && b.slots ? enterCode(b.name) : [])),
      ];
    }),
  ].join("\n");
