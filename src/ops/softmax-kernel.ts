import threadSource from "../../shaders/softmax-thread.wgsl?raw";
import walkSource from "../../shaders/softmax-walk.wgsl?raw";
import workgroupSource from "../../shaders/softmax-workgroup.wgsl?raw";
import { type AdapterFacts, type Dispatch, gridOf, type KernelVariant, specialize } from "./kernel.ts";

/** Numbers that a thread keeps in registers: a row that is no longer it reads only once. */
const HELD = 16;
/** Threads that share a row: with these a row of up to 1,024 stays in registers. */
const FEW = 64;
const MANY = 256;

/** How a vector lies in x, which has the shape (outer, length, inner). */
const FORMS = {
  /** Four neighbours of a row. */
  fours: {
    vector: "vec4<f32>",
    state: "f32",
    along: 4,
    across: 1,
    code: [
      "fn most(v: vec4f) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }",
      "fn total(v: vec4f) -> f32 { return (v.x + v.y) + (v.z + v.w); }",
      "fn places(k: u32) -> vec4i { return vec4i(i32(4u * k)) + vec4i(0, 1, 2, 3); }",
      "fn element(i: u32) -> f32 { return x[i / 4u][i % 4u]; }",
      "alias Places = vec4i;",
    ],
  },
  twos: {
    vector: "vec2<f32>",
    state: "f32",
    along: 2,
    across: 1,
    code: [
      "fn most(v: vec2f) -> f32 { return max(v.x, v.y); }",
      "fn total(v: vec2f) -> f32 { return v.x + v.y; }",
      "fn places(k: u32) -> vec2i { return vec2i(i32(2u * k)) + vec2i(0, 1); }",
      "fn element(i: u32) -> f32 { return x[i / 2u][i % 2u]; }",
      "alias Places = vec2i;",
    ],
  },
  ones: {
    vector: "f32",
    state: "f32",
    along: 1,
    across: 1,
    code: [
      "fn most(v: f32) -> f32 { return v; }",
      "fn total(v: f32) -> f32 { return v; }",
      "fn places(k: u32) -> i32 { return i32(k); }",
      "fn element(i: u32) -> f32 { return x[i]; }",
      "alias Places = i32;",
    ],
  },
  /** An element of each of four rows. */
  rows: {
    vector: "vec4<f32>",
    state: "vec4<f32>",
    along: 1,
    across: 4,
    code: ["fn most(v: vec4f) -> vec4f { return v; }", "fn total(v: vec4f) -> vec4f { return v; }"],
  },
} as const;

function formOf(length: number, inner: number) {
  if (inner % 4 === 0) return FORMS.rows;
  if (inner > 1 || length % 2 !== 0) return FORMS.ones;
  return length % 4 === 0 ? FORMS.fours : FORMS.twos;
}

/** The kernels that walk rows of x (outer, length, inner) as softmax-walk.wgsl does, completed by one that stores. */
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
