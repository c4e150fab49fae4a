import { CheckpointError } from "../core/errors.ts";
import type { NDArray } from "../core/ndarray.ts";
import { type Shape, sameShape, showShape } from "../core/shape.ts";
import type { StoredTensor, TensorFile } from "../interchange/safetensors.ts";
import { isNormalization, type Normalization } from "./host-inputs.ts";
import type { ModelTensors } from "./tensors.ts";

/** What of a file went into a model, and what did not. */
export interface LoadReport {
  readonly loaded: readonly string[];
  /** In the model, and not in the file: they keep what they had. */
  readonly missing: readonly string[];
  /** In the file, and not in the model. */
  readonly unexpected: readonly string[];
  /** In both, with other shapes: they keep what they had. */
  readonly reshaped: readonly { readonly name: string; readonly file: Shape; readonly model: Shape }[];
}

/** The counters that PyTorch keeps beside batch norm's statistics. */
export const countersOf = (tensors: Pick<ModelTensors, "counting">): string[] =>
  tensors.counting.map((path) => (path === "" ? "num_batches_tracked" : `${path}.num_batches_tracked`));

/** What a file is to hold. */
type Wanted = Pick<ModelTensors, "all" | "counting">;

/** Compares a file with a model, and changes nothing. */
export function compareFile(tensors: Wanted, { tensors: stored }: TensorFile): LoadReport {
  const report = {
    loaded: [] as string[],
    missing: [] as string[],
    reshaped: [] as LoadReport["reshaped"][number][],
  };
  for (const { name, shape } of tensors.all) {
    const found = stored.get(name);
    if (!found) report.missing.push(name);
    else if (found.dtype !== "F32" || !sameShape(found.shape, shape))
      report.reshaped.push({ name, file: found.shape, model: shape });
    else report.loaded.push(name);
  }
  const known = new Set([...tensors.all.map(({ name }) => name), ...countersOf(tensors)]);
  return { ...report, unexpected: [...stored.keys()].filter((name) => !known.has(name)) };
}

/**
 * @throws CheckpointError that names the first tensor which does not fit, where all must.
 */
export function checkFit(
  tensors: Wanted,
  { missing, unexpected, reshaped }: LoadReport,
  file: TensorFile,
  name: string,
  orElse = ", or load what fits with { strict: false }",
): void {
  const remedy = "it belongs to another model, choose the one that it was saved from";
  if (missing.length > 0)
    throw new CheckpointError(
      `${name} has no tensor "${missing[0]}" ${showShape(tensors.all.find((v) => v.name === missing[0])!.shape)}; ${remedy}.`,
    );
  const [first] = reshaped;
  if (first) {
    const { dtype } = file.tensors.get(first.name)!;
    throw new CheckpointError(
      `${name}: "${first.name}" is ${dtype} ${showShape(first.file)}, the model's is F32 ${showShape(first.model)}; ${remedy}${orElse}.`,
    );
  }
  if (unexpected.length > 0)
    throw new CheckpointError(
      `${name} has a tensor "${unexpected[0]}" that the model does not have; ${remedy}.`,
    );
}

/** @throws CheckpointError for a number that is not finite. */
export function checkFinite(names: readonly string[], { tensors }: TensorFile, name: string): void {
  for (const key of names) {
    const data = tensors.get(key)!.data as Float32Array;
    const at = data.findIndex((x) => !Number.isFinite(x));
    if (at >= 0)
      throw new CheckpointError(
        `${name}: element ${at} of "${key}" is ${data[at]}; use a file whose numbers are finite.`,
      );
  }
}

export const stored = ({ shape, data }: NDArray): StoredTensor => ({
  dtype: "F32",
  shape,
  data: data as Float32Array<ArrayBuffer>,
});

/** What a file says of its model beside the tensors; nothing of it is believed unseen. */
export interface FileDescription {
  readonly network: unknown;
  readonly labels: readonly string[] | undefined;
  readonly normalization: Normalization | undefined;
}

/** @throws CheckpointError for metadata that are damaged. */
export function descriptionIn({ metadata }: TensorFile, name: string): FileDescription {
  const damaged = (what: string) =>
    new CheckpointError(`${name}: its ${what} is damaged; use another copy of the file.`);
  const parse = (what: "network" | "labels" | "normalization"): unknown => {
    const text = metadata[what];
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text);
    } catch {
      throw damaged(what);
    }
  };
  const labels = parse("labels");
  if (labels !== undefined && !(Array.isArray(labels) && labels.every((label) => typeof label === "string")))
    throw damaged("labels");
  const normalization = parse("normalization") as Normalization | undefined;
  if (normalization !== undefined && !isNormalization(normalization)) throw damaged("normalization");
  return { network: parse("network"), labels, normalization };
}

/** Batches that a file's running statistics have seen; undefined where it does not say. */
export function batchesIn(tensors: ModelTensors, file: TensorFile): number | undefined {
  const [counter] = countersOf(tensors);
  const count = counter === undefined ? undefined : file.tensors.get(counter);
  return count?.dtype === "I64" ? Number(count.data[0] ?? 0n) : undefined;
}
