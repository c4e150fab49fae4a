import type { DType } from "./dtype.ts";
import { DeviceError } from "./errors.ts";
import type { NDArray } from "./ndarray.ts";
import type { TensorType } from "./shape.ts";

/** What the engine knows of an adapter; the planner and the kernels get it as data. */
export interface AdapterFacts {
  readonly name: string;
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  /** llvmpipe, SwiftShader, WARP: the processor does the work. */
  readonly software: boolean;
  readonly maxBindingBytes: number;
  readonly maxBufferBytes: number;
  readonly maxBindings: number;
  readonly maxWorkgroupsPerDimension: number;
  readonly maxInvocations: number;
  readonly maxWorkgroupBytes: number;
  readonly offsetAlignment: number;
  readonly subgroups: boolean;
  readonly subgroupMinSize: number;
  readonly subgroupMaxSize: number;
  /** Products of small matrices that a subgroup computes as a whole: a [m, k] · b [k, n]. */
  readonly subgroupMatrices: readonly SubgroupMatrix[];
  readonly f16: boolean;
  readonly timestamps: boolean;
}

/** A product of small matrices that a subgroup computes together. */
export interface SubgroupMatrix {
  /** WebGPU's names of the operands' and the result's elements: "f32", "f16", "i32", … */
  readonly input: string;
  readonly result: string;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** How a dispatch uses what is bound. */
export type Access = "read" | "read_write";

/**
 * A tensor that a dispatch binds: an input, an output, a scratch buffer of the kernel's own, what a chain that the
 * planner put into the kernel reads, the moments of a result (see KernelVariant), or the dispatch's own words.
 */
export interface Binding extends Elements {
  readonly kind: "input" | "output" | "scratch" | "chain" | "moments" | "words";
  readonly index: number;
  readonly access: Access;
  /**
   * By a name the shader calls `load_NAME(i)`, or `store_NAME(i, value)` where it writes, i a u32. Those functions and the
   * array behind them are generated, perhaps with a chain of elementwise ops inside. What has no name the shader declares
   * itself, `@binding` being its place in the dispatch's list.
   */
  readonly name?: string;
  /** Which of the kernel's chains reads it; `index` is its place among that chain's inputs. */
  readonly chain?: number;
  /** The input whose place this result takes: the name by which it is loaded, and its slots. */
  readonly over?: Pick<Binding, "name" | "slots">;
}

/** What one call of `load_NAME` or `store_NAME` moves; by default a single f32. */
export interface Elements {
  readonly dtype?: DType;
  /** How many elements, a WGSL vector of them: i counts vectors, too. */
  readonly width?: number;
  /**
   * Where this is given, the shader calls `enter_NAME(channel, slot)` before it loads from a channel, axis 1 of the tensor:
   * a chain reads then what it needs of that channel. It works on so many channels at once; where that is more than 1,
   * it sets the variable `slot_NAME` to the slot of those that the next loads are from.
   */
  readonly slots?: number;
}

/** One dispatch: a specialised shader, what it binds (in @binding order) and its grid. */
export interface Dispatch {
  /** The kernel family, e.g. "conv2d/tile". */
  readonly kernel: string;
  /** WGSL after specialisation. */
  readonly source: string;
  readonly bindings: readonly Binding[];
  readonly workgroups: readonly [number, number, number];
  /** How many calls in its text store the first result, each of which a chain would be compiled in; 1 by default. */
  readonly stores?: number;
  /**
   * Numbers that tell one dispatch from another with the same shader (where a slice starts, for instance), as u32 or
   * i32: the binding "words" reads them.
   */
  readonly words?: readonly number[];
  /** Floating-point operations and bytes moved at least, for the plan and the profiler. */
  readonly flops?: number;
  readonly bytes?: number;
  /** What to do where it binds more buffers than the adapter allows, as the end of a sentence. */
  readonly remedy?: string;
}

/** One way to compute an op: a list of dispatches and the bytes of scratch they need. */
export interface KernelVariant {
  readonly name: string;
  readonly dispatches: readonly Dispatch[];
  readonly scratch?: readonly number[];
  /**
   * Where moments were asked for: the kernel also leaves (count, mean, sum of squares around it, 0) of this many slabs of
   * each channel of output 0, as vec4s (channels, slabs).
   */
  readonly moments?: number;
  /**
   * Where an algorithm adds larger terms than the op's own: inputs whose results are the sums of their magnitudes, given
   * the kernel's inputs. By default those are the absolute values; see core/tolerance.ts.
   */
  readonly magnified?: Magnified;
}

/** Inputs whose reference is what the errors of an op's sums are measured by. */
export type Magnified = (inputs: readonly NDArray[]) => readonly NDArray[];

/** What a kernel is made for: types of inputs and results, attributes, and the adapter. */
export interface KernelContext<A> {
  readonly inputs: readonly TensorType[];
  readonly outputs: readonly TensorType[];
  readonly attrs: A;
  readonly facts: AdapterFacts;
  /** Inputs whose numbers are f16, widened to f32 where they are read; none by default. */
  readonly half?: readonly number[];
  /** Somebody wants the moments of output 0; a variant that leaves none need not care. */
  readonly moments?: boolean;
  /** Results that nobody reads; a variant need not store them. */
  readonly unread?: ReadonlySet<number>;
}

/** All ways to compute an op on this adapter, the default choice first, the readable baseline last. */
export type Kernel<A> = (context: KernelContext<A>) => KernelVariant[];

/** Binds input `index`, which the shader reads: with a name by `load_NAME(i)`, else as it declares it itself. */
export const input = (index: number, name?: string, elements?: Elements): Binding => ({
  kind: "input",
  index,
  access: "read",
  ...(name && { name, ...elements }),
});
/** Binds result `index`, which the shader writes: with a name by `store_NAME(i, value)`. */
export const output = (index = 0, name?: string, elements?: Elements): Binding => ({
  ...input(index, name, elements),
  kind: "output",
  access: "read_write",
});
/** Binds memory that the dispatches of one kernel hand on to each other. */
export const scratch = (
  index = 0,
  access: Access = "read_write",
  name?: string,
  elements?: Elements,
): Binding => ({ ...input(index, name, elements), kind: "scratch", access });

export const words: Binding = { kind: "words", index: 0, access: "read" };

export const moments = (access: Access): Binding => ({ kind: "moments", index: 0, access });

/**
 * Folds a count of workgroups into a grid whose first two dimensions stay within the adapter's limit. Shaders take the
 * flat number as `wg.x + wg.y * grid.x` and must ignore numbers past the end.
 */
export function gridOf(workgroups: number, facts: AdapterFacts): [number, number, number] {
  const limit = facts.maxWorkgroupsPerDimension;
  if (workgroups <= limit) return [Math.max(1, workgroups), 1, 1];
  const rows = Math.ceil(workgroups / limit);
  return [Math.ceil(workgroups / rows), rows, 1];
}

/**
 * How many neighbouring vectors of `width` numbers a thread takes of a row of `length` vectors, where there are `all`: a
 * processor likes 32 numbers.
 */
export function perThread(length: number, all: number, width: number, facts: AdapterFacts): number {
  for (let per = facts.software ? 32 / width : 4; per > 1; per--)
    if (length % per === 0 && all / per >= 2048) return per;
  return 1;
}

/** The WGSL struct of a row of numbers, so that a shader reads them by the names that TypeScript declares. */
export function wgslStruct(name: string, fields: readonly string[], element = "f32"): string {
  return [`struct ${name} {`, ...fields.map((field) => `  ${field}: ${element},`), "}", ""].join("\n");
}

/** Values for the top-level consts and aliases of a shader. */
export type Constants = Readonly<Record<string, number | string | boolean>>;

/**
 * Specialises a shader: rewrites the initialisers of top-level `const NAME = …;` and `alias NAME = …;` lines, then
 * expands the loops that the file marks with `// unroll`.
 *
 * Numbers take the suffix of the default they replace (`4u` → `8u`). An unknown name is an error, so that a shader and
 * the code that configures it cannot drift apart.
 */
export function specialize(source: string, constants: Constants = {}): string {
  let text = source;
  for (const [name, value] of Object.entries(constants)) {
    const declaration = new RegExp(`^(const|alias) ${name}( *: *\\w+)? *= *([^;]+);`, "m");
    const match = declaration.exec(text);
    if (!match) throw new Error(`The shader has no top-level const or alias named ${name}.`);
    const [whole, keyword, type = "", old] = match as unknown as [string, string, string | undefined, string];
    text = text.replace(whole, () => `${keyword} ${name}${type} = ${literal(value, old)};`);
  }
  return unrollLoops(text);
}

/** A WGSL literal of the same type as `like`. */
function literal(value: Constants[string], like: string): string {
  if (typeof value !== "number") return String(value);
  if (like.endsWith("u")) return `${value >>> 0}u`;
  if (like.includes(".") || like.endsWith("f")) {
    if (!Number.isFinite(Math.fround(value)))
      throw new RangeError(`${value} cannot be a float32 const of a shader.`);
    return floatLiteral(value);
  }
  return String(value);
}

/**
 * A dispatch's shader with the extension that it needs enabled before all else.
 * @throws DeviceError where the adapter does not offer it.
 */
export function withExtensions({ kernel, source }: Dispatch, facts: AdapterFacts): string {
  if (!/\bf16\b/.test(source)) return source;
  if (!facts.f16)
    throw new DeviceError(
      `${kernel}: uses f16, which the adapter ${facts.name} does not offer (shader-f16); compute in f32.`,
    );
  return `enable f16;\n${source}`;
}

/** The bits of a number as an element of memory. */
export function bitsOf(value: number, dtype: DType): number {
  return dtype === "f32" ? new Uint32Array(new Float32Array([value]).buffer)[0]! : value >>> 0;
}

/**
 * A float32 literal that WGSL reads back as the same number, for elementwise expressions. WGSL has no infinite or NaN
 * constants: those take a detour by x0, which every elementwise body has, so that they are worked out at run time.
 */
export function floatLiteral(value: number): string {
  const rounded = Math.fround(value);
  if (!Number.isFinite(rounded)) {
    const bits = `${bitsOf(rounded, "f32")}u`;
    return `bitcast<f32>(select(${bits}, ${bits}, x0 == x0))`;
  }
  if (rounded === 0) return Object.is(rounded, -0) ? "-0.0f" : "0.0f";
  return `${rounded.toExponential()}f`;
}

const UNROLL = /^([ \t]*)for \(var (\w+) = (\d+)u; \2 < (\w+); \2\+\+\) \{ *\/\/ unroll\n/gm;

/** Expands `for (var i = 0u; i < N; i++) { // unroll` into N copies of its body with i written out, inner loops first. */
function unrollLoops(source: string): string {
  let text = source;
  // What comes before an expanded loop holds none any more.
  for (let from = 0; ; ) {
    UNROLL.lastIndex = from;
    const match = UNROLL.exec(text);
    if (!match) return text;
    from = match.index;
    const [head, indent, variable, first, bound] = match as unknown as [
      string,
      string,
      string,
      string,
      string,
    ];
    const bodyStart = match.index + head.length;
    const closing = `\n${indent}}\n`;
    const bodyEnd = text.indexOf(closing, bodyStart - 1);
    if (bodyEnd < 0)
      throw new Error(
        `The loop over ${variable} marked "unroll" has no closing brace at its own indentation.`,
      );
    const body = text.slice(bodyStart, bodyEnd + 1);
    const count = constantValue(text, bound);
    const name = new RegExp(`\\b${variable}\\b`, "g");
    let expanded = "";
    for (let i = Number(first); i < count; i++)
      expanded += `${indent}{\n${body.replace(name, `${i}u`)}${indent}}\n`;
    text = text.slice(0, match.index) + expanded + text.slice(bodyEnd + closing.length);
  }
}

function constantValue(text: string, name: string): number {
  const direct = /^(\d+)u?$/.exec(name);
  if (direct) return Number(direct[1]);
  const match = new RegExp(`^const ${name}(?: *: *\\w+)? *= *(\\d+)u?;`, "m").exec(text);
  if (!match)
    throw new Error(`The bound ${name} of a loop marked "unroll" is not a literal top-level const.`);
  return Number(match[1]);
}
