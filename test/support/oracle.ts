// Values that PyTorch computed in float64, in test/oracle, and ours beside them: the reference kept in float64.
import { readdirSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { type DType, storageArray } from "../../src/core/dtype.ts";
import type { NDArray } from "../../src/core/ndarray.ts";
import { isTensor, type Tensor } from "../../src/core/op.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { leavesOf, type Mapped } from "../../src/core/tree.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import type { Loss } from "../../src/losses/index.ts";
import type { Measure } from "../../src/metrics/index.ts";
import { compile, type Result } from "../../src/model/compile.ts";
import { Model } from "../../src/model/model.ts";
import { meansAmong, Tallies } from "../../src/model/tallies.ts";
import type { AnyModule } from "../../src/nn/module.ts";
import { concat } from "../../src/ops/f.ts";

/** As test/oracle/common.py stores a tensor. */
export interface Stored {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly data: readonly (number | string)[];
}

/** A case of any kind: `layer`, `loss`, … says of what. */
export interface OracleCase {
  readonly [kind: string]: unknown;
  readonly args: readonly unknown[];
  readonly note?: string;
}

export interface LayerCase extends OracleCase {
  readonly layer: string;
  readonly training: boolean;
  readonly inputs: readonly Stored[];
  /** Where in a record the inputs stand, `state.h`, of a layer that takes one; several stand in a list otherwise. */
  readonly names?: readonly string[];
  /** Parameters and buffers by their names in checkpoints. */
  readonly tensors: Readonly<Record<string, Stored>>;
  readonly output: Stored;
  readonly upstream: Stored;
  readonly gradients: {
    readonly inputs: readonly (Stored | null)[];
    readonly tensors: Readonly<Record<string, Stored>>;
  };
  /** Running statistics after one training step. */
  readonly buffers?: Readonly<Record<string, Stored>>;
}

export interface LossCase extends OracleCase {
  readonly loss: string;
  /** A list for a loss of several outputs, and so are the gradients. */
  readonly output: Stored | readonly Stored[];
  readonly target: Stored | null;
  readonly mask?: Stored;
  readonly value: Stored;
  readonly gradient: Stored | readonly Stored[];
}

const FOLDER = new URL("../oracle/", import.meta.url);

/** The cases of one kind from all files, with the file's name. */
export function oracleCases<Case extends OracleCase>(kind: string): (Case & { readonly file: string })[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith(".json"))
    .flatMap((file) => {
      const { cases } = JSON.parse(readFileSync(new URL(file, FOLDER), "utf8")) as { cases: Case[] };
      return cases.filter((entry) => kind in entry).map((entry) => ({ ...entry, file }));
    });
}

const NAMED: Readonly<Record<string, number>> = {
  nan: Number.NaN,
  inf: Number.POSITIVE_INFINITY,
  "-inf": Number.NEGATIVE_INFINITY,
};
export const numbersOf = ({ data }: Stored): number[] =>
  data.map((x) => (typeof x === "string" ? NAMED[x]! : x));

/** A stored tensor as an array on the host, float64 where it is a float. */
export function arrayOf(stored: Stored): NDArray {
  const numbers = numbersOf(stored);
  const data =
    stored.dtype === "f32"
      ? Float64Array.from(numbers)
      : storageArray(stored.dtype, sizeOf(stored.shape)).map((_, i) => numbers[i]!);
  return { shape: stored.shape, dtype: stored.dtype, data } as NDArray;
}

/** Both sides are float64: what they differ by is the order of sums, relative to the largest number of the tensor. */
export function expectSame(what: string, got: ArrayLike<number>, want: Stored): void {
  const numbers = numbersOf(want);
  expect(got.length, `${what}: length`).toBe(numbers.length);
  const scale = Math.max(1, ...numbers.filter(Number.isFinite).map(Math.abs));
  for (const [i, x] of numbers.entries()) {
    const message = `${what}[${i}] is ${got[i]}, PyTorch's ${x}`;
    if (Number.isFinite(x)) expect(Math.abs(got[i]! - x), message).toBeLessThan(1e-10 * scale);
    else expect(got[i], message).toEqual(x);
  }
}

const inputsOf = (list: readonly Stored[]) =>
  Object.fromEntries(list.map((stored, i) => [`x${i}`, { shape: stored.shape, dtype: stored.dtype }]));
const hostInputs = (list: readonly Stored[]) =>
  Object.fromEntries(list.map((stored, i) => [`x${i}`, arrayOf(stored).data as Float32Array]));

const formOf = (inputs: readonly Tensor[]) => (inputs.length === 1 ? inputs[0] : inputs);

/** A record of tensors from their paths. */
function recordOf(paths: readonly string[], inputs: readonly Tensor[]): Record<string, unknown> {
  const record: Record<string, unknown> = {};
  for (const [i, path] of paths.entries()) {
    const [name = "", part] = path.split(".");
    if (part === undefined) record[name] = inputs[i];
    else record[name] = Object.assign(record[name] ?? {}, { [part]: inputs[i] });
  }
  return record;
}

/**
 * Runs a layer on a case: its result, the gradients of Σ result·upstream (and of what it adds to what is minimised) in
 * inputs and parameters, and its buffers after a training step. A layer of several inputs takes a list, or a record where the
 * case has names; several results are compared as one row.
 */
export async function checkLayer(network: AnyModule, given: LayerCase): Promise<void> {
  const device = cpuBackend({ precision: "f64" });
  const model = new Model(device, network);
  for (const [name, stored] of Object.entries(given.tensors))
    model.tensor(name).write(arrayOf(stored).data as Float32Array);
  const trainable = Object.keys(given.gradients.tensors);
  const types = inputsOf([...given.inputs, given.upstream]);
  const run = compile(
    device,
    types,
    (all: Readonly<Record<string, Tensor>>, t) => {
      const inputs = given.inputs.map((_, i) => all[`x${i}`]!);
      const results = model.forward(given.names ? recordOf(given.names, inputs) : formOf(inputs), t);
      const output = isTensor(results)
        ? results
        : concat(
            leavesOf(results, isTensor).map(({ leaf }) => leaf.reshape({ shape: [-1] })),
            { axis: 0 },
          );
      const loss = output.mul(all[`x${given.inputs.length}`]!).sum().add(t.penalty());
      const wanted = [
        ...inputs.filter((_, i) => given.gradients.inputs[i]),
        ...trainable.map((name) => model.tensor(name).value),
      ];
      return { outputs: { output, slopes: gradients(loss, wanted) } };
    },
    { training: given.training },
  );
  const results = (await run(hostInputs([...given.inputs, given.upstream]))) as Mapped<
    { output: Tensor; slopes: Tensor[] },
    Tensor,
    Result
  >;
  const output = await results.output.read();
  expect(output.shape, "shape of the result").toEqual(given.output.shape);
  expectSame("result", output.data as ArrayLike<number>, given.output);
  const wanted: [string, Stored][] = [
    ...given.gradients.inputs.flatMap((stored, i): [string, Stored][] =>
      stored ? [[`gradient of input ${i}`, stored]] : [],
    ),
    ...trainable.map((name): [string, Stored] => [`gradient of ${name}`, given.gradients.tensors[name]!]),
  ];
  for (const [i, [what, stored]] of wanted.entries())
    expectSame(what, (await results.slopes[i]!.read()).data as ArrayLike<number>, stored);
  for (const [name, stored] of Object.entries(given.buffers ?? {}))
    expectSame(name, (await model.tensor(name).read()).data as ArrayLike<number>, stored);
  await run.dispose();
  await model.dispose();
}

const listOf = (stored: Stored | readonly Stored[]): readonly Stored[] =>
  Array.isArray(stored) ? stored : [stored as Stored];

/** Runs a loss on a case: its value, and its gradient in each output. */
export async function checkLoss(loss: Loss<any, any>, given: LossCase): Promise<void> {
  const device = cpuBackend({ precision: "f64" });
  const outputs = listOf(given.output);
  const types = (stored: readonly (Stored | null | undefined)[]) =>
    inputsOf(stored.filter((one): one is Stored => Boolean(one)));
  const all = [...outputs, ...[given.target, given.mask].filter((one): one is Stored => Boolean(one))];
  const run = compile(device, types(all), (x: Readonly<Record<string, Tensor>>) => {
    const leaves = outputs.map((_, i) => x[`x${i}`]!);
    const target = given.target ? x[`x${outputs.length}`] : undefined;
    const mask = given.mask && x[`x${all.length - 1}`];
    const value = loss(Array.isArray(given.output) ? leaves : leaves[0], target, mask);
    return { value, slopes: gradients(value.shape.length > 0 ? value.sum() : value, leaves) };
  });
  const { value, slopes } = await run(hostInputs(all));
  const { shape, data } = await value.read();
  expect(shape, "shape of the value").toEqual(given.value.shape);
  expectSame("value", data as ArrayLike<number>, given.value);
  for (const [i, stored] of listOf(given.gradient).entries())
    expectSame(`gradient of output ${i}`, (await slopes[i]!.read()).data as ArrayLike<number>, stored);
  await run.dispose();
}

export interface MetricCase extends OracleCase {
  readonly metric: string;
  readonly batches: readonly { readonly output: Stored; readonly target: Stored; readonly mask?: Stored }[];
  readonly value: number | string | readonly (readonly number[])[];
}

/** Runs a metric over the batches of a case, which for a mean is one. */
export async function checkMetric(metric: Measure, given: MetricCase, device: Backend): Promise<void> {
  const means = meansAmong({ metric });
  const counted = new Tallies(device, { metric });
  let value: unknown;
  for (const { output, target, mask } of given.batches) {
    const all = [output, target, ...(mask ? [mask] : [])];
    const run = compile(device, inputsOf(all), ({ x0, x1, x2 }: Readonly<Record<string, Tensor>>) => ({
      outputs: Object.fromEntries(Object.entries(means).map(([name, mean]) => [name, mean(x0!, x1!, x2)])),
      updates: counted.updates(x0, x1, x2),
    }));
    const outputs = (await run(hostInputs(all))) as Readonly<Record<string, Result>>;
    if (outputs.metric) value = await outputs.metric.item();
    await run.dispose();
  }
  value ??= (await counted.values()).metric;
  counted.release();
  const want = given.value;
  if (typeof want === "string") expect(value).toBe(NAMED[want]);
  else if (typeof want === "number") expect(value).toBeCloseTo(want, 5);
  else expect(value).toEqual(want);
}
