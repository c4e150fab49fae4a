import { storageArray } from "../../core/dtype.ts";
import { roundToHalf } from "../../core/half.ts";
import type { AdapterFacts, KernelVariant } from "../../core/kernel.ts";
import { type NDArray, roundToDType } from "../../core/ndarray.ts";
import { applyOp, type GraphNode, type Tensor, type Variable } from "../../core/op.ts";
import { Random } from "../../core/rng.ts";
import { sizeOf, type TensorType } from "../../core/shape.ts";
import { compare } from "../../core/tolerance.ts";
import { halfInputs, read, standalone } from "../../graph/node.ts";
import { elementBounds, type Magnitudes } from "../../ops/bounds.ts";
import { cast } from "../../ops/elementwise/unary.ts";
import { compilePlan } from "../../plan/plan.ts";
import type { Executable } from "../backend.ts";
import type { WebGPUBackend } from "./backend.ts";
import type { WebGPUExecutable } from "./executable.ts";

/** An op at given shapes that offers several kernels. */
export interface Tunable {
  readonly key: string;
  readonly node: GraphNode;
  readonly variants: readonly KernelVariant[];
}

/** One way to compute an op, and what came of trying it. */
export interface Candidate {
  readonly name: string;
  /** Median; absent where it was not timed. */
  milliseconds?: number;
  /** Why it cannot be chosen, or was not timed to the end. */
  verdict?: "wrong" | "does not run" | "not tried" | "timed once";
  /** What there is to say of that. */
  note?: string;
}

/** What the tuner found out about an op at given shapes. */
export interface TunedKernel {
  readonly op: string;
  readonly key: string;
  /** Absent where no candidate computes right: the plan's default stays. */
  readonly choice?: string;
  /** In the order in which the op offers them; nothing where the choice was stored. */
  readonly candidates: readonly Candidate[];
  /** What results were compared with: "reference", or a candidate's name for large shapes. */
  readonly comparedWith?: string;
}

/** Larger work is compared with another kernel's results, because the reference on the CPU would take long. */
const REFERENCE_FLOPS = 3e7;
/** Larger work is never given to the readable baseline: it would take seconds, and some systems then reset the GPU. */
const baselineFlops = (facts: AdapterFacts) => (facts.software ? 4e9 : 2e10);
/** Dispatches are repeated up to this many milliseconds, so that clocks of 100 µs, as browsers have, tell them apart. */
const WANTED_MS = 2;
const MOST_REPEATS = 40;
const TIME_PER_KERNEL_MS = 400;
const HOPELESS = 3;
/** Single times below this say little where the clock is that coarse. */
const COARSE_MS = 0.2;
/** The default stays unless another candidate is faster by more than noise. */
const WORTH_IT = 0.95;

/** Tries all candidates on the same inputs. */
export async function measure(backend: WebGPUBackend, tunable: Tunable): Promise<TunedKernel> {
  const { key, node, variants } = tunable;
  const candidates = variants.map(({ name }): Candidate => ({ name }));
  const half = halfInputs(node);
  const inputs = node.inputs.map((value, i) => {
    const x = sampleInput(value, i);
    return half.includes(i) ? { ...x, data: Float32Array.from(x.data, roundToHalf) } : x;
  });
  const variables = inputs.map((x, i) =>
    standalone(`input ${i}`, x.shape, half.includes(i) ? "f16" : x.dtype),
  );
  const right = new Map<Candidate, WebGPUExecutable>();
  try {
    for (const [i, variable] of variables.entries()) backend.write(variable, inputs[i]!.data);
    const comparedWith = await check(backend, tunable, inputs, variables, candidates, right);
    await time(backend, right);
    const choice = fastest(candidates, comparedWith);
    return {
      op: node.op!.name,
      key,
      candidates,
      ...(comparedWith ? { comparedWith } : {}),
      ...(choice ? { choice } : {}),
    };
  } finally {
    for (const executable of right.values()) executable.dispose();
    for (const { arena } of variables) backend.release(arena);
  }
}

let numbers: Float32Array | undefined;
const PERIOD = 65521;

/**
 * Something an op can take: numbers from 0.5 to 1.5, whose sums are their own magnitudes and which can be variances.
 * Integers, such as the place of a maximum, come from the op that makes them; those that nobody makes, labels for instance,
 * are 0.
 */
function sampleInput(value: Tensor, seed: number): NDArray {
  const { shape, dtype, node } = value;
  if (dtype === "f32") {
    const random = new Random(1);
    const some = (numbers ??= Float32Array.from({ length: PERIOD }, () => random.uniform(0.5, 1.5)));
    const data = new Float32Array(sizeOf(shape)).map((_, i) => some[(i + 9973 * seed) % PERIOD]!);
    return { shape, dtype, data };
  }
  if (!node.op) return { shape, dtype, data: storageArray(dtype, sizeOf(shape)) };
  const inputs = node.inputs.map(sampleInput);
  return roundToDType(node.op.reference(inputs, node.attrs)[value.index]!);
}

/** Loads and runs the candidates, the baseline first, and keeps in `right` those whose results are. */
async function check(
  backend: WebGPUBackend,
  { key, node, variants }: Tunable,
  inputs: readonly NDArray[],
  variables: readonly Variable[],
  candidates: readonly Candidate[],
  right: Map<Candidate, WebGPUExecutable>,
): Promise<string | undefined> {
  const op = node.op!;
  const values = variables.map((variable, i) => {
    const { dtype } = node.inputs[i]!;
    return variable.dtype === dtype ? read(variable) : cast(read(variable), { dtype });
  });
  const results = applyOp(op, values, node.attrs);
  const program = { name: key, outputs: Object.fromEntries(results.map((value, i) => [`y${i}`, value])) };
  const sizes = [...inputs, ...node.outputs].map((type: TensorType) => sizeOf(type.shape));
  const flops = Math.max(...sizes, sum(variants[0]!.dispatches.map((dispatch) => dispatch.flops ?? 0)));
  const byReference = flops <= REFERENCE_FLOPS;
  const write = (tensors: readonly NDArray[]) =>
    variables.forEach((variable, i) => {
      backend.write(variable, roundToDType(tensors[i]!).data);
    });
  const run = async (executable: WebGPUExecutable) => {
    executable.run();
    return Promise.all(results.map((_, i) => executable.fetch(`y${i}`)));
  };
  let expected = byReference ? op.reference(inputs, node.attrs).map(roundToDType) : undefined;
  let comparedWith = byReference ? "reference" : undefined;
  /** Whose results are expected, if not the reference's, and what it adds up. */
  let other: { executable: WebGPUExecutable; magnitudes: Magnitudes } | undefined;
  const magnitudesOf = async ({ magnified }: KernelVariant, executable: WebGPUExecutable, got: NDArray[]) => {
    // All inputs are positive.
    if (!magnified) return { known: expected ?? got };
    if (byReference) return { magnified };
    write(magnified(inputs));
    try {
      return { known: await run(other?.executable ?? executable), magnified };
    } finally {
      write(inputs);
    }
  };
  for (const [i, candidate] of [...candidates.entries()].reverse()) {
    if (candidate === candidates.at(-1) && flops > baselineFlops(backend.facts)) {
      Object.assign(candidate, { verdict: "not tried", note: "it would take long" });
      continue;
    }
    const options = { choices: new Map([[key, candidate.name]]) };
    let executable: WebGPUExecutable | undefined;
    try {
      const { got, own } = await backend.attempt(async () => {
        executable = await backend.load(compilePlan(program, backend.facts, options));
        const got = await run(executable);
        return { got, own: await magnitudesOf(variants[i]!, executable, got) };
      });
      expected ??= got;
      comparedWith ??= candidate.name;
      if (!byReference) other ??= { executable: executable!, magnitudes: own };
      const note = disagreement(node, inputs, expected, got, other ? [other.magnitudes, own] : [own]);
      if (note) Object.assign(candidate, { verdict: "wrong", note });
    } catch (error) {
      backend.check(); // nothing runs on a device that is lost
      const note = (error as Error).message.split("\n", 2).join(" ");
      Object.assign(candidate, { verdict: "does not run", note });
    }
    if (candidate.verdict || !executable) executable?.dispose();
    else right.set(candidate, executable);
  }
  return comparedWith;
}

/** In what results differ from what is expected by more than the op's tolerance; each of `sides` may be off by it. */
function disagreement(
  node: GraphNode,
  inputs: readonly NDArray[],
  expected: readonly NDArray[],
  got: readonly NDArray[],
  sides: readonly Magnitudes[],
): string | undefined {
  for (const [i, { data }] of expected.entries()) {
    const bounds = sides.map((magnitudes) =>
      elementBounds(node.op!, { inputs, attrs: node.attrs }, expected, i, magnitudes),
    );
    const c = compare(got[i]!.data, data, (at) => sum(bounds.map((bound) => bound(at))));
    if (!c.pass) return `${c.mismatches} of ${data.length} elements, worst ${c.got} instead of ${c.expected}`;
  }
  return undefined;
}

/** Times the candidates in turns, so that what else the machine does meets all of them. */
async function time(backend: WebGPUBackend, tried: ReadonlyMap<Candidate, WebGPUExecutable>): Promise<void> {
  const once = new Map<Candidate, number>();
  for (const [candidate, executable] of tried) once.set(candidate, await timed(backend, executable, 1));
  const hopeless = HOPELESS * Math.max(COARSE_MS, Math.min(...once.values()));
  const racing: { candidate: Candidate; executable: WebGPUExecutable; repeats: number; times: number[] }[] =
    [];
  for (const [candidate, executable] of tried) {
    let ms = once.get(candidate)!;
    // A slow time may have been somebody else's: a second look, where it costs little.
    if (ms > hopeless && ms < 50) ms = Math.min(ms, await timed(backend, executable, 1));
    const repeats = Math.max(1, Math.min(MOST_REPEATS, Math.round(WANTED_MS / ms)));
    if (ms > hopeless)
      Object.assign(candidate, { milliseconds: ms, verdict: "timed once", note: "far slower" });
    else racing.push({ candidate, executable, repeats, times: [] });
  }
  const rounds =
    TIME_PER_KERNEL_MS / sum(racing.map(({ candidate, repeats }) => repeats * once.get(candidate)!));
  for (let round = 0; round < Math.max(3, Math.min(9, rounds)); round++)
    for (const { executable, repeats, times } of racing)
      times.push(await timed(backend, executable, repeats));
  for (const { candidate, times } of racing) candidate.milliseconds = median(times);
}

/** Milliseconds of one run, from `repeats` in a row. */
export async function timed(
  backend: WebGPUBackend,
  executable: Executable,
  repeats: number,
): Promise<number> {
  if (executable.profile && backend.facts.timestamps) {
    const passes = await executable.profile({}, repeats);
    return sum(passes.map(([begin, end]) => end - begin)) / repeats;
  }
  const began = performance.now();
  executable.runMany(new Array(repeats).fill({}));
  await backend.finish();
  return (performance.now() - began) / repeats;
}

/** The default, which comes first, unless another is clearly faster. */
function fastest(candidates: readonly Candidate[], comparedWith: string | undefined): string | undefined {
  const right = candidates.filter((c) => c.milliseconds !== undefined);
  const [standard, baseline] = [candidates[0]!, candidates.at(-1)!];
  // Alone against all others, and nobody knows who is right: slow but readable.
  const alone = right.length === 1 && candidates.some(({ verdict }) => verdict === "wrong");
  if (alone && comparedWith === right[0]!.name && right[0] !== baseline) return baseline.name;
  const best = [...right].sort((a, b) => a.milliseconds! - b.milliseconds!)[0];
  const limit = WORTH_IT * (standard.milliseconds ?? Number.POSITIVE_INFINITY);
  return best && best.milliseconds! > limit ? standard.name : best?.name;
}

const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);
const median = (list: readonly number[]) => [...list].sort((a, b) => a - b)[list.length >> 1]!;
