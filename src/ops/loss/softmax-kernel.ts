import threadSource from "../../../shaders/loss/softmax-thread.wgsl?raw";
import walkSource from "../../../shaders/loss/softmax-walk.part.wgsl?raw";
import workgroupSource from "../../../shaders/loss/softmax-workgroup.wgsl?raw";
import {
  type AdapterFacts,
  type Dispatch,
  gridOf,
  type KernelVariant,
  specialize,
} from "../../core/kernel.ts";

/** Numbers that a thread keeps in registers: a row that is no longer it reads only once. */
const HELD = 16;
/** Threads that share a row: with these a row of up to 1,024 stays in registers. */
const FEW = 64;
const MANY = 256;

const COMPONENTS = ["x", "y", "z", "w"];

/** How vectors lie in x (outer, length, inner): `along` neighbours of a row, or an element of each of `across` rows. */
function formOf(length: number, inner: number) {
  const across = inner % 4 === 0 ? 4 : 1;
  const along = inner > 1 ? 1 : ([4, 2].find((n) => length % n === 0) ?? 1);
  const type = (scalar: string, width: number) => (width > 1 ? `vec${width}<${scalar}>` : scalar);
  const vector = type("f32", along * across);
  const state = type("f32", across);
  const parts = along > 1 ? COMPONENTS.slice(0, along).map((name) => `v.${name}`) : ["v"];
  const join = (call: (a: string, b: string) => string) => parts.reduce(call);
  const places = parts.map((_, k) => `i32(${along}u * k) + ${k}`).join(", ");
  const code = [
    `fn most(v: ${vector}) -> ${state} { return ${join((a, b) => `max(${a}, ${b})`)}; }`,
    `fn total(v: ${vector}) -> ${state} { return ${join((a, b) => `${a} + ${b}`)}; }`,
    `alias Places = ${type("i32", along)};`,
    `fn places(k: u32) -> Places { return Places(${places}); }`,
    ...(across > 1
      ? []
      : [`fn element(i: u32) -> f32 { return x[i / ${along}u]${along > 1 ? `[i % ${along}u]` : ""}; }`]),
  ];
  return { vector, state, along, across, code };
}

/** The kernels that walk rows of x (outer, length, inner) as softmax-walk.part.wgsl does, completed by one that stores. */
export function walkVariants(
  op: string,
  { outer, length, inner }: { readonly outer: number; readonly length: number; readonly inner: number },
  store: string,
  constants: Readonly<Record<string, number | boolean>>,
  rest: Pick<Dispatch, "bindings" | "bytes">,
  facts: AdapterFacts,
): KernelVariant[] {
  const { vector, state, along, across, code } = formOf(length, inner);
  const rows = (outer * inner) / across;
  const vectors = length / along;
  const sizes = {
    Vector: vector,
    State: state,
    ROWS: rows,
    LENGTH: vectors,
    INNER: inner / across,
    WIDTH: along,
  };
  const variant = (name: string, harness: string, lanes: number, workgroups: number): KernelVariant => {
    const tile = Math.min(Math.ceil(vectors / lanes), HELD / (along * across));
    const text = [walkSource, harness, store].join("\n");
    const source = specialize(text, { ...sizes, LANES: lanes, TILE: tile, ...constants });
    return {
      name,
      dispatches: [
        {
          kernel: `${op}/${name}`,
          source: [source, ...code].join("\n"),
          workgroups: gridOf(workgroups, facts),
          ...rest,
        },
      ],
    };
  };
  const thread = variant("thread", threadSource, 1, Math.ceil(rows / 64));
  if (vectors < FEW || facts.maxInvocations < MANY) return [thread];
  const lanes = vectors <= (FEW * HELD) / 4 ? FEW : MANY;
  const workgroup = variant("workgroup", workgroupSource, lanes, rows);
  // A processor needs a few rows; on a GPU threads of neighbouring rows read neighbours, if there are enough of them.
  const enough = facts.software ? rows >= 16 : across > 1 && rows >= 4096;
  return enough ? [thread, workgroup] : [workgroup, thread];
}
