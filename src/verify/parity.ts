import type { Backend } from "../backend/backend.ts";
import { show } from "../core/attributes.ts";
import type { NumericArray } from "../core/dtype.ts";
import { DeviceError, OptionError } from "../core/errors.ts";
import { roundToHalf } from "../core/half.ts";
import { type NDArray, ndarray, roundToDType } from "../core/ndarray.ts";
import { type Shape, showType } from "../core/shape.ts";
import { compare } from "../core/tolerance.ts";
import "../ops/methods.ts";
import type { AdapterFacts, KernelVariant, Magnified } from "../core/kernel.ts";
import { callOp, type GraphNode, type OpRecord, resolveAttributes, type Sample } from "../core/op.ts";
import { lazily, Sampler } from "../core/samples.ts";
import { feed, kernelContext, reachable } from "../graph/node.ts";
import { mixedPrecision } from "../graph/precision.ts";
import { type Program, programRoots } from "../graph/program.ts";
import { elementBounds } from "../ops/bounds.ts";
import { offerMeasured } from "../ops/measured.ts";
import { checkContracts } from "../plan/contracts.ts";
import { checkKernels } from "../plan/kernels.ts";
import { kernelKey, type PlanOptions } from "../plan/plan.ts";
import { records } from "./records.ts";

/** One op on one sample with one kernel: how it compared with the reference. */
export interface ParityRow {
  readonly op: string;
  readonly case: string;
  readonly kernel: string;
  readonly dtype: string;
  readonly worstError: number;
  readonly tolerance: number;
  readonly pass: boolean;
  /** What went wrong, in a sentence. */
  readonly message?: string;
}

/** A sample made into a program that any backend can run. */
export interface ParityCase {
  readonly op: OpRecord;
  readonly sample: Sample<any>;
  readonly label: string;
  /** In which the op's tensors are stored. */
  readonly dtype: string;
  readonly program: Program;
  readonly feeds: Record<string, NumericArray>;
  /** Names of the kernel variants to try; one entry, "", for ops without variants. */
  readonly variants: (facts: AdapterFacts) => ParityVariant[];
  readonly expected: () => NDArray[];
}

/** A kernel variant to try, and what its algorithm adds up if not the op's own terms. */
export interface ParityVariant extends Pick<KernelVariant, "name" | "magnified"> {
  readonly options: PlanOptions;
}

/** What was found wrong before is tried all the same. */
const NOTHING: ReadonlyMap<string, string> = new Map();

/** Every case of an op: its samples, and for ops that take part in mixed precision the same samples in f16. */
export function parityCases(op: OpRecord): ParityCase[] {
  return [...casesOf(op), ...halfCases(op)];
}

/** The samples of an op as programs. */
export function casesOf(op: OpRecord): ParityCase[] {
  offerMeasured();
  checkKernels(checkContracts);
  return samplesOf(op).map((given, number) => {
    const inputs = given.inputs.map((x, i) => feed(`x${i}`, x.shape, x.dtype));
    const sample = { ...given, attrs: resolveAttributes(op, given.attrs, given.inputs) };
    const results = callOp(op, [...inputs, given.attrs]);
    const program: Program = {
      name: op.name,
      outputs: Object.fromEntries(results.map((value, i) => [`y${i}`, value])),
    };
    const attrs = given.attrs === undefined ? "" : ` ${JSON.stringify(given.attrs)}`;
    const label = `${number + 1}: ${sample.name ? `${sample.name} ` : ""}${sample.inputs.map(showType).join(" ")}${attrs}`;
    // f16 is a storage format of some adapters only.
    const half = [...sample.inputs, ...results].some((x) => x.dtype === "f16");
    return {
      op,
      sample,
      label,
      dtype: sample.inputs[0]?.dtype ?? results[0]!.dtype,
      program,
      get feeds() {
        return feedsOf(sample.inputs);
      },
      variants: (facts) => (half && !facts.f16 ? [] : variantsOf(op, results[0]!.node, facts)),
      expected: once(() => op.reference(sample.inputs, sample.attrs).map(roundToDType)),
    };
  });
}

/** Drawn when they are asked for. */
const feedsOf = (inputs: readonly NDArray[]) => Object.fromEntries(inputs.map((x, i) => [`x${i}`, x.data]));

/** The variants of a case share its reference. */
function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** On what an op without samples is tried, as far as it takes tensors of equal shapes. */
const USUAL_SHAPES: readonly Shape[] = [[], [2, 3], [1031], [5, 8], [2, 3, 4, 4]];

/** An op's samples; where it has none, tensors of usual shapes that it takes. */
export function samplesOf(op: OpRecord): Sample<any>[] {
  const s = new Sampler(op.name);
  if (op.samples) return op.samples(s);
  const usual = USUAL_SHAPES.map((shape) => ({ inputs: op.operands.map(() => s.randn(...shape)) }));
  const taken = usual.filter(({ inputs }) => {
    try {
      op.infer(inputs, resolveAttributes(op, undefined, inputs));
      return true;
    } catch {
      return false;
    }
  });
  if (taken.length === 0)
    throw new OptionError(
      `${op.name}: has no samples and takes none of the usual tensors; give it samples, for example samples: (s) => [{ inputs: [s.randn(2, 3)] }].`,
    );
  return taken;
}

function variantsOf(op: OpRecord, node: GraphNode, facts: AdapterFacts): ParityVariant[] {
  const { implementation } = op;
  if (implementation.kind !== "kernel")
    return [{ name: implementation.kind, options: { excluded: NOTHING } }];
  if (node.outputs.every((type) => type.shape.includes(0)) || node.inputs.some((x) => x.shape.includes(0)))
    return [{ name: "empty", options: { excluded: NOTHING } }];
  return implementation.kernel(kernelContext(node, facts)).map(({ name, magnified }) => ({
    name,
    ...(magnified && { magnified }),
    options: { choices: new Map([[kernelKey(node), name]]), excluded: NOTHING },
  }));
}

/** The samples of an op that takes part in mixed precision, stored as the pass stores them. */
export function halfCases(op: OpRecord): ParityCase[] {
  const half = op.implementation.kind === "kernel" ? op.implementation.half : undefined;
  if (!half) return [];
  return casesOf(op).map((parity): ParityCase => {
    const inputs = parity.sample.inputs.map((x, i) =>
      half.inputs.includes(i)
        ? lazily(x.shape, x.dtype, () => ndarray(x.shape, Float32Array.from(x.data, roundToHalf), x.dtype))
        : x,
    );
    const program = mixedPrecision(parity.program);
    const node = reachable(programRoots(program)).find((other) => other.op?.name === op.name)!;
    return {
      op,
      label: `${parity.label} in f16`,
      dtype: "f16",
      sample: { ...parity.sample, inputs },
      program,
      get feeds() {
        return feedsOf(inputs);
      },
      variants: (facts) => (facts.f16 ? variantsOf(op, node, facts) : []),
      expected: once(() =>
        op
          .reference(inputs, parity.sample.attrs)
          .map((x, i) => roundToDType(half.outputs.includes(i) ? { ...x, dtype: "f16" } : x)),
      ),
    };
  });
}

/** Runs one case with one kernel variant and compares all results with the reference. */
export async function runCase(
  backend: Backend,
  parity: ParityCase,
  variant: ParityVariant,
): Promise<ParityRow> {
  const row = { op: parity.op.name, case: parity.label, kernel: variant.name, dtype: parity.dtype };
  const executable = await backend.compile(parity.program, variant.options);
  try {
    executable.run(parity.feeds);
    const results: NDArray[] = [];
    for (const name of Object.keys(parity.program.outputs!)) results.push(await executable.fetch(name));
    return { ...row, ...compareResults(parity, results, variant.magnified) };
  } finally {
    executable.dispose();
  }
}

/** Compares results with the reference of a case: the worst output decides. */
export function compareResults(
  parity: ParityCase,
  results: readonly NDArray[],
  magnified?: Magnified,
): Pick<ParityRow, "worstError" | "tolerance" | "pass" | "message"> {
  const expected = parity.expected();
  let worst: Pick<ParityRow, "worstError" | "tolerance" | "pass" | "message"> = {
    worstError: 0,
    tolerance: 0,
    pass: true,
  };
  let worstRatio = -1;
  expected.forEach((want, index) => {
    const got = results[index]!;
    const bound = elementBounds(parity.op, parity.sample, expected, index, { magnified });
    const c = compare(got.data, want.data, bound);
    const ratio = c.pass ? c.worstError / (c.tolerance || 1) : Number.POSITIVE_INFINITY;
    if (ratio <= worstRatio) return;
    worstRatio = ratio;
    const at = `${c.mismatches} of ${want.data.length} elements of output ${index} (${showType(want)}) are off, worst at ${c.worstIndex}: ${c.got} instead of ${c.expected} (tolerance ${c.tolerance.toExponential(2)})`;
    worst = {
      worstError: c.worstError,
      tolerance: c.tolerance,
      pass: c.pass,
      ...(c.pass ? {} : { message: at }),
    };
  });
  return worst;
}

/** A kernel that does not even run: a verdict on this adapter as much as wrong numbers are. */
function failedRow({ op, label, dtype }: ParityCase, kernel: string, error: Error): ParityRow {
  if (error instanceof DeviceError) throw error; // the adapter itself is gone
  const worstError = Number.POSITIVE_INFINITY;
  return {
    op: op.name,
    case: label,
    kernel,
    dtype,
    worstError,
    tolerance: 0,
    pass: false,
    message: error.message,
  };
}

/** Which ops are compared with their references; all of them unless given. */
export interface VerifyOptions {
  readonly onRow?: (row: ParityRow) => void;
  /** Awaited before each row: false ends the suite, a promise makes it wait. */
  readonly goOn?: () => boolean | Promise<boolean>;
}

/** How many rows `verify` will give. */
export function countRows(backend: Backend, ops: readonly OpRecord[] = records): number {
  return ops.flatMap(parityCases).reduce((count, parity) => count + parity.variants(backend.facts).length, 0);
}

/**
 * Compares ops on a device with their references: every op (all of ours by default), every sample, every kernel variant,
 * and once more in f16 where an op takes part in mixed precision. A kernel that is wrong or does not compile is a row that
 * did not pass.
 * @throws OptionError for what is no device or no op, and for an op without samples whose `infer` takes none of the usual
 * tensors.
 */
export async function verify(
  device: Backend,
  ops: readonly OpRecord[] = records,
  options: VerifyOptions = {},
): Promise<ParityRow[]> {
  checkArguments(device, ops);
  const rows: ParityRow[] = [];
  for (const op of ops)
    for (const parity of parityCases(op))
      for (const variant of parity.variants(device.facts)) {
        if (options.goOn && !(await options.goOn())) return rows;
        const work = () => runCase(device, parity, variant);
        const row = await (device.attempt ? device.attempt(work) : work()).catch((error: Error) =>
          failedRow(parity, variant.name, error),
        );
        rows.push(row);
        options.onRow?.(row);
      }
  return rows;
}

function checkArguments(device: unknown, ops: unknown): void {
  const isOp = (x: any) => typeof x?.infer === "function" && typeof x.reference === "function";
  if (device instanceof Promise) throw new OptionError("verify: the device is a Promise; write await gpu().");
  if (typeof (device as Backend | undefined)?.compile !== "function")
    throw new OptionError(`verify: the device is ${show(device)}; use verify(await gpu(), ops).`);
  if (!Array.isArray(ops))
    throw new OptionError(`verify: ops is ${isOp(ops) ? "a single op" : show(ops)}; use a list, [op].`);
  ops.forEach((op, i) => {
    if (!isOp(op))
      throw new OptionError(
        `verify: ops[${i}] is ${show(op)}; use ops, as defineOp and elementwiseOp give them.`,
      );
  });
}
